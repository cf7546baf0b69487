//! The paths below the mount: the resources of a job, and the pages of problems.

use super::problem::PAGES;

/// A resource of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `mount/ID`: the status document; DELETE cancels, or purges.
    Status,
    /// `mount/ID/result`: the origin's response.
    Result,
    /// `mount/ID/cancel`
    Cancel,
    /// `mount/ID/events`: an event stream or WebSocket.
    Events,
    /// `mount/ID/redrive`: an operator starts a failed job again, as a new job.
    Redrive,
}

/// What a path below the mount means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobPath<'a> {
    /// A resource of a job.
    Job {
        /// The job's id as in the path, unchecked.
        id: &'a str,
        /// Which resource.
        endpoint: Endpoint,
    },
    /// `mount/problems`: the list of all problems, or `mount/problems/CODE`: the page about one.
    Problems {
        /// The code as in the path, unchecked.
        code: Option<&'a str>,
    },
    /// Anything else: 404. No path below the mount goes to the origin.
    Unknown,
}

impl Endpoint {
    /// All resources.
    pub const ALL: [Self; 5] = [
        Self::Status,
        Self::Result,
        Self::Cancel,
        Self::Events,
        Self::Redrive,
    ];

    /// The path segment after the id; empty for the status.
    #[must_use]
    pub const fn segment(self) -> &'static str {
        match self {
            Self::Status => "",
            Self::Result => "result",
            Self::Cancel => "cancel",
            Self::Events => "events",
            Self::Redrive => "redrive",
        }
    }

    /// The value of `Allow` (RFC 9110 section 10.2.1). OPTIONS is supported only for CORS.
    #[must_use]
    pub const fn allowed_methods(self) -> &'static str {
        match self {
            Self::Status => "GET, HEAD, DELETE",
            Self::Result => "GET, HEAD",
            Self::Events => "GET",
            Self::Cancel | Self::Redrive => "POST",
        }
    }

    /// Whether the resource supports the method; methods are case-sensitive.
    #[must_use]
    pub fn allows(self, method: &str) -> bool {
        self.allowed_methods()
            .split(", ")
            .any(|known| known == method)
    }
}

/// Parses a path in canonical form, without a query. `None`: it is not below `mount` (such as `/jobs`), so the
/// rules apply.
///
/// An encoded slash after the mount (`/jobs%2F…`) is not a separator here, but may be at the origin. Such a
/// path is [unknown](JobPath::Unknown).
#[must_use]
pub fn parse<'a>(mount: &str, path: &'a str) -> Option<JobPath<'a>> {
    let below = path.strip_prefix(mount.trim_end_matches('/'))?;
    if below.is_empty() {
        return Some(JobPath::Unknown);
    }
    if below.starts_with("%2F") || below.starts_with("%5C") {
        return Some(JobPath::Unknown);
    }
    let below = below.strip_prefix('/')?;
    let (id, segment) = below.split_once('/').unwrap_or((below, ""));
    let is_bare = segment.is_empty() && below.len() > id.len();
    if id == PAGES && !is_bare {
        let code = (below.len() > id.len()).then_some(segment);
        return Some(JobPath::Problems { code });
    }
    let endpoint = Endpoint::ALL
        .into_iter()
        .find(|endpoint| endpoint.segment() == segment);
    Some(match endpoint {
        Some(endpoint) if !id.is_empty() && !is_bare => JobPath::Job { id, endpoint },
        _ => JobPath::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_resource_is_found_again_at_its_path(
            mount in "(/[a-z]{1,5}){1,3}/?",
            id in "j[A-Za-z0-9_-]{1,40}",
        ) {
            for endpoint in Endpoint::ALL {
                let end = match endpoint.segment() {
                    "" => String::new(),
                    segment => format!("/{segment}"),
                };
                let path = format!("{}/{id}{end}", mount.trim_end_matches('/'));
                prop_assert_eq!(parse(&mount, &path), Some(JobPath::Job { id: &id, endpoint }));
            }
        }

        #[test]
        fn whatever_is_below_the_mount_never_passes_through(rest in ".{0,40}") {
            let path = format!("/jobs/{rest}");
            prop_assert!(parse("/jobs", &path).is_some());
        }

        #[test]
        fn any_path_can_be_read_and_an_id_is_one_segment(path in "(/jobs)?.{0,40}") {
            if let Some(JobPath::Job { id, .. }) = parse("/jobs", &path) {
                prop_assert!(!id.is_empty() && !id.contains('/'));
            }
        }
    }
}
