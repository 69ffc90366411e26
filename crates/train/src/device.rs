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

/// Why a device cannot be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The build has no CUDA in it.
    #[error(
        "cuda:{index} was asked for, but this build has no CUDA in it: build with `cargo build --release -p sottovoce \
         --features cuda` (no CUDA toolkit is needed to build), or choose the device `cpu`"
    )]
    NotCompiledIn {
        /// The GPU asked for.
        index: usize,
    },
    /// The machine has no NVIDIA GPU, or no driver for it.
    #[error(
        "cuda:{index} was asked for, but this machine shows no NVIDIA GPU (no /dev/nvidia0): install the NVIDIA \
         driver, give the GPU to the container (`--gpus all`), or choose the device `cpu`"
    )]
    NoGpu {
        /// The GPU asked for.
        index: usize,
    },
    /// The machine has fewer GPUs.
    #[error("cuda:{index} was asked for, but this machine has {found} GPU(s), counted from cuda:0")]
    NoSuchGpu {
        /// The GPU asked for.
        index: usize,
        /// GPUs that the machine shows.
        found: usize,
    },
    /// The driver or the GPU failed a first small computation.
    #[error(
        "cuda:{index} failed a first small computation: check that `nvidia-smi` works, that libcuda and NVRTC (CUDA \
         12 or later) are on the library path and that CUDA_VISIBLE_DEVICES shows this GPU, or choose the device `cpu`"
    )]
    Unusable {
        /// The GPU asked for.
        index: usize,
    },
    /// The GPU gave no answer.
    #[error("cuda:{index} gave no answer in {seconds} s: check it with `nvidia-smi`, or choose the device `cpu`")]
    NoAnswer {
        /// The GPU asked for.
        index: usize,
        /// How long was waited.
        seconds: u64,
    },
}

impl Device {
    /// Whether the device can be used in this build on this machine.
    ///
    /// For a GPU it looks for the driver's device files first, so that a machine without a GPU never loads a driver
    /// library, and then has the GPU add two numbers on a thread that is waited for no longer than a minute.
    ///
    /// # Errors
    /// [`DeviceError`], which says what to do.
    pub fn check(self) -> Result<(), DeviceError> {
        match self {
            Self::Cpu => Ok(()),
            Self::Cuda(index) => cuda::check(index),
        }
    }
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    use super::DeviceError;

    pub(super) fn check(index: usize) -> Result<(), DeviceError> {
        Err(DeviceError::NotCompiledIn { index })
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    use burn::backend::Cuda;
    use burn::backend::cuda::CudaDevice;
    use burn::tensor::Tensor;

    use super::DeviceError;

    /// The first computation compiles its kernels, which takes seconds on a cold machine, not a minute.
    const PATIENCE_SECONDS: u64 = 60;

    pub(super) fn check(index: usize) -> Result<(), DeviceError> {
        if let Some(found) = gpus_shown() {
            if found == 0 {
                return Err(DeviceError::NoGpu { index });
            }
            if index >= found {
                return Err(DeviceError::NoSuchGpu { index, found });
            }
        }
        // A missing library is a panic inside the driver's bindings, and a hung GPU never answers: both stay on a
        // thread of their own.
        let (sender, receiver) = channel();
        let probe = thread::Builder::new().name("cuda-probe".into()).spawn(move || {
            let device = CudaDevice::new(index);
            let sum = Tensor::<Cuda, 1>::from_floats([1.0, 2.0], &device).sum().into_data();
            let answer = sum.to_vec::<f32>().is_ok_and(|v| v == [3.0]);
            // The receiver is gone only when it gave up waiting.
            let _ = sender.send(answer);
        });
        if probe.is_err() {
            return Err(DeviceError::Unusable { index });
        }
        match receiver.recv_timeout(Duration::from_secs(PATIENCE_SECONDS)) {
            Ok(true) => Ok(()),
            Ok(false) | Err(RecvTimeoutError::Disconnected) => Err(DeviceError::Unusable { index }),
            Err(RecvTimeoutError::Timeout) => Err(DeviceError::NoAnswer { index, seconds: PATIENCE_SECONDS }),
        }
    }

    /// GPUs by the device files of the Linux driver; `None` where files cannot tell (WSL, other systems).
    fn gpus_shown() -> Option<usize> {
        if !cfg!(target_os = "linux") || std::path::Path::new("/dev/dxg").exists() {
            return None;
        }
        let entries = std::fs::read_dir("/dev").ok()?;
        let is_gpu = |name: &str| {
            name.strip_prefix("nvidia").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        };
        Some(entries.flatten().filter(|e| e.file_name().to_str().is_some_and(is_gpu)).count())
    }
}

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

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn cuda_in_a_build_without_it_is_an_error_that_says_how_to_build_with_it() {
        let error = Device::Cuda(0).check().unwrap_err();
        assert_eq!(error, DeviceError::NotCompiledIn { index: 0 });
        assert!(error.to_string().contains("--features cuda"), "{error}");
        assert_eq!(Device::Cpu.check(), Ok(()));
    }

    #[test]
    #[cfg(feature = "cuda")]
    fn cuda_on_a_machine_without_that_gpu_is_an_error_and_neither_hangs_nor_panics() {
        // No machine has 60,000 GPUs, so this holds with and without one.
        let error = Device::Cuda(60_000).check().unwrap_err();
        assert!(
            matches!(error, DeviceError::NoGpu { .. } | DeviceError::NoSuchGpu { .. } | DeviceError::Unusable { .. }),
            "{error}"
        );
    }
}
