//! Routes that record which experts process the tokens.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use sglang_proto::messages::ExpertDistributionReqType;

use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::reply;

/// Longest wait for the scheduler's answer. The call may have to wait for a model step, and the file may be large.
const PATIENCE: Duration = Duration::from_secs(300);

/// `/start_expert_distribution_record`: clears any earlier record.
pub async fn start(app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    run(&app, ExpertDistributionReqType::StartRecord, "Start recording the expert distribution.\n").await
}

/// `/stop_expert_distribution_record`.
pub async fn stop(app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    run(&app, ExpertDistributionReqType::StopRecord, "Stop recording the expert distribution.\n").await
}

/// `/dump_expert_distribution_record`: writes the record to files and clears it.
pub async fn dump(app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    run(&app, ExpertDistributionReqType::DumpRecord, "Dump expert distribution record.\n").await
}

async fn run(
    app: &App,
    action: ExpertDistributionReqType,
    done: &'static str,
) -> Result<HttpResponse, ApiError> {
    // The reference's server crashes here.
    if app.args.expert_distribution_recorder_mode.is_none() {
        return Err(ApiError::Native {
            status: 400,
            message: "The expert distribution recorder is off. Launch the server with \
                      --expert-distribution-recorder-mode to use it."
                .into(),
        });
    }
    let answer = app.manager.expert_distribution(action, PATIENCE).await?;
    match answer.success {
        true => Ok(reply::plain(StatusCode::OK, done.into())),
        false => Err(ApiError::Native { status: 500, message: answer.message }),
    }
}
