//! Records which experts a model's tokens are routed to (reference: `srt/eplb`).

mod dump;
mod expert_distribution;
mod step_buffer;
mod torch_save;

pub use expert_distribution::{ExpertDistributionRecorder, RecorderMode, RecorderSettings};
