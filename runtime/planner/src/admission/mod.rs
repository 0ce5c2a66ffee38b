//! Admission control: the budgets of one prefill step ([`PrefillBudget`]) and the estimate of how many tokens running
//! requests will still need ([`NewTokenRatio`]).

mod budget;
mod new_token_ratio;

pub use budget::{PrefillBudget, StopAdmission, fits_to_the_end};
pub use new_token_ratio::NewTokenRatio;
