//! Whether a device can be used.
use sottovoce_types::Device;

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

/// Whether a device can be used in this build on this machine.
///
/// For a GPU it looks for the driver's device files first, so that a machine without a GPU never loads a driver
/// library, and then has the GPU add two numbers on a thread that is waited for no longer than a minute.
///
/// # Errors
/// [`DeviceError`], which says what to do.
pub fn check_device(device: Device) -> Result<(), DeviceError> {
    match device {
        Device::Cpu => Ok(()),
        Device::Cuda(index) => cuda::check(index),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn cuda_in_a_build_without_it_is_an_error_that_says_how_to_build_with_it() {
        let error = check_device(Device::Cuda(0)).unwrap_err();
        assert_eq!(error, DeviceError::NotCompiledIn { index: 0 });
        assert!(error.to_string().contains("--features cuda"), "{error}");
        assert_eq!(check_device(Device::Cpu), Ok(()));
    }

    #[test]
    #[cfg(feature = "cuda")]
    fn cuda_on_a_machine_without_that_gpu_is_an_error_and_neither_hangs_nor_panics() {
        // No machine has 60,000 GPUs, so this holds with and without one.
        let error = check_device(Device::Cuda(60_000)).unwrap_err();
        assert!(
            matches!(error, DeviceError::NoGpu { .. } | DeviceError::NoSuchGpu { .. } | DeviceError::Unusable { .. }),
            "{error}"
        );
    }
}
