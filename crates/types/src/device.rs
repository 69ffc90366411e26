//! Where tensors live: the CPU, or one CUDA GPU.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A device, as configs and the command line write it: `cpu`, `cuda` (the first GPU) or `cuda:1`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// One thread of this machine's processor.
    #[default]
    Cpu,
    /// The CUDA GPU of this index.
    Cuda(usize),
}

/// A word that names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no device: write `cpu`, or `cuda:0` for the first GPU")]
pub struct UnknownDevice(pub String);

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = UnknownDevice;
    fn from_str(s: &str) -> Result<Self, UnknownDevice> {
        let unknown = || UnknownDevice(s.to_owned());
        match s {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let index = s.strip_prefix("cuda:").ok_or_else(unknown)?;
                // `u16` because the CUDA runtime keeps no larger index; `+1` parses as a number but is no index.
                let plain = index.bytes().all(|b| b.is_ascii_digit());
                index.parse::<u16>().ok().filter(|_| plain).map(|i| Self::Cuda(i.into())).ok_or_else(unknown)
            }
        }
    }
}

impl TryFrom<String> for Device {
    type Error = UnknownDevice;
    fn try_from(s: String) -> Result<Self, UnknownDevice> {
        s.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_names_no_device_is_refused_and_every_device_round_trips() {
        for bad in ["", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:1x", "CPU", "cuda:99999"] {
            assert_eq!(bad.parse::<Device>(), Err(UnknownDevice(bad.into())));
        }
        assert_eq!("cuda".parse::<Device>(), Ok(Device::Cuda(0)));
        for good in ["cpu", "cuda:0", "cuda:3"] {
            assert_eq!(good.parse::<Device>().unwrap().to_string(), good);
        }
    }
}
