//! Frames: several jobs in one body (the work in the reply to a claim, the reports in a finish). A frame is
//! the length of its JSON, the JSON, the length of its bytes, the bytes. Lengths are 32-bit, little-endian.

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its JSON.
    pub json: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// Encodes frames one after the other.
#[must_use]
pub fn encode<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        for part in [frame.json.as_bytes(), &frame.body] {
            // A part is bounded by the row limit of 2 MB, far below 32 bits.
            let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend(len.to_le_bytes());
            bytes.extend(part);
        }
    }
    bytes
}

/// Decodes frames. `None` if the bytes are not frames.
#[must_use]
pub fn decode(mut bytes: &[u8]) -> Option<Vec<Frame>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let json = part(&mut bytes)?;
        let body = part(&mut bytes)?;
        frames.push(Frame {
            json: String::from_utf8(json).ok()?,
            body,
        });
    }
    Some(frames)
}

fn part(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let (part, rest) = rest.split_at_checked(len)?;
    *bytes = rest;
    Some(part.to_vec())
}
