//! What one publisher has sent, and what a subscription has received or been told of.

use std::collections::HashMap;

use backend_core::{Event, Gap, GapCause};

/// Reads what arrives: each envelope's data is `publisher:number`, numbered from 1.
#[derive(Debug, Default)]
pub struct Account {
    publishers: HashMap<String, Publisher>,
    pub gaps: u64,
    /// How many of them were of an outage of the subscriber.
    pub outages: u64,
    pub received: u64,
    /// How many were told as missing, by number.
    pub missed: u64,
    /// How many numbers were passed over.
    pub passed_over: u64,
}

#[derive(Debug, Default)]
struct Publisher {
    last: u64,
    /// How many gaps had stood before it.
    gaps: u64,
}

impl Account {
    /// Takes an event. Says what is wrong with it: twice, out of order, or something missing before
    /// it without a gap in its place.
    pub fn take(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Gap(Gap { cause, missed, .. }) => {
                self.gaps += 1;
                self.outages += u64::from(*cause == GapCause::Reconnected);
                self.missed += missed.unwrap_or(0);
                Ok(())
            }
            Event::Message(envelope) => {
                let data = String::from_utf8_lossy(envelope.data()).into_owned();
                let (name, number) = data.split_once(':').ok_or("an envelope of nobody")?;
                let number: u64 = number.parse().map_err(|_| "an envelope without a number")?;
                let publisher = self.publishers.entry(name.to_owned()).or_default();
                if number <= publisher.last {
                    return Err(format!("{data} after {}", publisher.last));
                }
                let before = number - publisher.last - 1;
                if before > 0 && publisher.gaps == self.gaps {
                    return Err(format!("{data} after {}, and no gap", publisher.last));
                }
                *publisher = Publisher { last: number, gaps: self.gaps };
                self.received += 1;
                self.passed_over += before;
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    }
}
