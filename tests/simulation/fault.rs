//! The classes of faults, and which of them strike where.

/// Declares the classes once: the enum, its list and its names.
macro_rules! classes {
    ($($name:ident $text:literal $rate:literal;)*) => {
        /// A class of faults.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $text] $name,)*
        }

        impl Fault {
            /// Every class.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name for command lines and histories.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// At most how many times in a thousand it strikes, where it can.
            pub const fn rate(self) -> u64 {
                match self { $(Self::$name => $rate,)* }
            }
        }
    };
}

classes! {
    CallBefore "call-before" 60;
    CallLost "call-lost" 60;
    CallTimeout "call-timeout" 40;
    CallBody "call-body" 30;
    BucketBefore "bucket-before" 80;
    BucketLost "bucket-lost" 80;
    BucketTorn "bucket-torn" 60;
    QueueBefore "queue-before" 80;
    QueueLost "queue-lost" 80;
    QueueDrop "queue-drop" 200;
    QueueTwice "queue-twice" 200;
    QueueLate "queue-late" 150;
    AckLost "ack-lost" 100;
    UploadBreaks "upload-breaks" 40;
    ClientSlow "client-slow" 60;
    ClientGone "client-gone" 80;
    ClockApart "clock-apart" 400;
    WorkerCrash "worker-crash" 100;
    ConsumerCrash "consumer-crash" 150;
    ConsumerFrozen "consumer-frozen" 150;
    ShardCrash "shard-crash" 60;
    Sql "sql" 40;
    ClockForward "clock-forward" 500;
    ClockBack "clock-back" 500;
    ClockYear "clock-year" 150;
    LaterCall "later-call" 40;
    LaterField "later-field" 100;
    LaterRow "later-row" 600;
    OriginRefuses "origin-refuses" 150;
    OriginBusy "origin-busy" 150;
    OriginFails "origin-fails" 120;
    OriginDenies "origin-denies" 100;
    OriginSlow "origin-slow" 100;
    OriginHangs "origin-hangs" 60;
    OriginLost "origin-lost" 100;
    OriginMalformed "origin-malformed" 60;
    OriginTorn "origin-torn" 80;
    OriginStalls "origin-stalls" 60;
    OriginHuge "origin-huge" 50;
}

impl Fault {
    /// Its bit in a set.
    pub const fn bit(self) -> u64 {
        1 << (self as u32)
    }

    /// Every class as a set.
    pub fn every() -> u64 {
        Self::ALL.iter().fold(0, |set, fault| set | fault.bit())
    }

    /// A set as text.
    pub fn names(set: u64) -> String {
        let names: Vec<&str> = Self::ALL
            .iter()
            .filter(|fault| set & fault.bit() != 0)
            .map(|fault| fault.name())
            .collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(",")
        }
    }

    /// A set from text: names with commas, `all` or `none`.
    pub fn parse(text: &str) -> Option<u64> {
        match text {
            "all" => Some(Self::every()),
            "none" => Some(0),
            names => names.split(',').try_fold(0, |set, name| {
                let fault = Self::ALL.iter().find(|fault| fault.name() == name)?;
                Some(set | fault.bit())
            }),
        }
    }
}
