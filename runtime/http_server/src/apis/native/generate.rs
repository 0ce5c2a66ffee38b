//! `/generate`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde_json::json;
use sglang_tokenizer_manager::call_trace::log_failed_stream;
use sglang_tokenizer_manager::manager::{GenerateError, Generation, ShowOptions, check_finish};
use sglang_tokenizer_manager::requests::{GenerateReqInput, contract};
use sglang_tokenizer_manager::state::RequestHandle;

use crate::answer::generate::{Cursor, GenerateAnswer};
use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::NativeJson;
use crate::http::{header_overrides, reply, sse};

/// `POST /generate`, `PUT /generate`.
pub async fn generate(
    app: web::Data<App>,
    req: HttpRequest,
    body: NativeJson,
) -> Result<HttpResponse, ApiError> {
    let mut request = GenerateReqInput::from_json(&body.0)?;
    contract::check_generate(&body.0).map_err(ApiError::Contract)?;
    drop(body);
    header_overrides::apply(&app, &req, &mut request)?;
    serve(app, request).await
}

/// Serves a request that has been parsed.
///
/// # Errors
/// Without streaming, any failure of the request. A stream reports failures as events.
pub async fn serve(app: web::Data<App>, request: GenerateReqInput) -> Result<HttpResponse, ApiError> {
    if request.stream {
        return Ok(match app.manager.generate_request(request).await {
            Ok(generation) => sse::respond(chunks(app, generation)),
            Err(error) => {
                log_failed_stream(error.status(), &error.to_string());
                sse::respond(stream::iter([error_event(&error)]))
            }
        });
    }
    let generation = app.manager.generate_request(request).await.map_err(ApiError::native)?;
    let body = collect(&app, generation).await.map_err(ApiError::native)?;
    Ok(reply::text_json(StatusCode::OK, body))
}

/// Waits for all answers and writes them.
pub async fn collect(app: &App, generation: Generation) -> Result<String, GenerateError> {
    let Generation { mut handles, is_single, show } = generation;
    let mut answers = Vec::with_capacity(handles.len());
    for handle in &mut handles {
        handle.finished().await;
        let finish = handle.state().output().finish.clone();
        if let Some(finish) = finish {
            check_finish(&finish.reason)?;
        }
        answers.push(answer(app, handle, show).write().json);
    }
    Ok(match (is_single, answers.pop()) {
        (true, Some(answer)) => answer,
        (_, last) => {
            answers.extend(last);
            format!("[{}]", answers.join(","))
        }
    })
}

fn answer<'a>(app: &'a App, handle: &'a RequestHandle, show: ShowOptions) -> GenerateAnswer<'a> {
    GenerateAnswer { state: handle.state(), from: Cursor::default(), show, index: None, first: true, app }
}

fn error_event(error: &GenerateError) -> Bytes {
    let error = json!({"error": {
        "message": error.to_string(),
        "type": "invalid_request_error",
        "code": error.status(),
        "retryable": false,
    }});
    sse::event(&error.to_string())
}

/// The reader of one growing answer.
struct Reader {
    app: web::Data<App>,
    handle: RequestHandle,
    show: ShowOptions,
    index: Option<usize>,
    from: Cursor,
    first: bool,
}

impl Reader {
    async fn next(mut self) -> (Bytes, Option<Self>) {
        self.handle.next().await;
        let answer = GenerateAnswer {
            state: self.handle.state(),
            from: self.from,
            show: self.show,
            index: self.index,
            first: self.first,
            app: &self.app,
        };
        let written = answer.write();
        if self.app.args.incremental_streaming_output {
            self.from = written.end;
        }
        self.first = false;
        (sse::event(&written.json), (!written.finished).then_some(self))
    }
}

/// The chunks of all answers, in the order of their arrival.
pub fn chunks(app: web::Data<App>, generation: Generation) -> impl Stream<Item = Bytes> {
    let Generation { handles, is_single, show } = generation;
    let readers = handles.into_iter().enumerate().map(move |(i, handle)| {
        let index = (!is_single).then_some(i);
        let reader = Reader { app: app.clone(), handle, show, index, from: Cursor::default(), first: true };
        stream::unfold(Some(reader), |reader| async move { Some(reader?.next().await) }).boxed_local()
    });
    stream::select_all(readers)
}
