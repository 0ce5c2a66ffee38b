//! The hub's answers.

use std::io::BufReader;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Reply, Request};
use crate::repo::{TestRepo, etag, is_large};
use crate::{Fault, Shared};

pub(crate) fn serve(shared: &Shared, stream: TcpStream, is_storage: bool) {
    let Ok(mut out) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader, is_storage) {
        shared.state().log.push(request.clone());
        let (reply, fault) = if is_storage { storage(shared, &request) } else { hub(shared, &request) };
        let head_only = request.method == "HEAD";
        let limit = fault.as_ref().filter(|_| !head_only).and_then(|f| f.break_after.or(f.stall_after));
        if reply.write(&mut out, head_only, limit).is_err() {
            return;
        }
        if let Some(fault) = fault.filter(|_| limit.is_some()) {
            if fault.stall_after.is_some() {
                std::thread::sleep(Duration::from_secs(30));
            }
            return;
        }
    }
}

/// The fault for a request for a file, if any is left.
fn fault_of(shared: &Shared, file: &str) -> Option<Fault> {
    let mut state = shared.state();
    let (_, fault) = state.faults.iter_mut().find(|(name, fault)| name == file && fault.times > 0)?;
    fault.times -= 1;
    Some(fault.clone())
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    let reply =
        Reply::new(status).header("X-Error-Message", message).header("Content-Type", "application/json");
    let reply = if code.is_empty() { reply } else { reply.header("X-Error-Code", code) };
    reply.body(json!({"error": message}).to_string())
}

fn hub(shared: &Shared, request: &Request) -> (Reply, Option<Fault>) {
    let path = request.path.split('?').next().unwrap_or_default();
    if let Some(rest) = path.strip_prefix("/api/models/") {
        if let Some(fault) = fault_of(shared, "") {
            return (error(fault.status.unwrap_or(503), "", "the hub has a bad day"), None);
        }
        return (api(shared, request, rest), None);
    }
    match path.split_once("/resolve/") {
        Some((name, rest)) => resolve(shared, request, name.trim_start_matches('/'), rest),
        None => (error(404, "", "no such page"), None),
    }
}

/// The repository of this name, if this request may see it.
fn find(shared: &Shared, request: &Request, name: &str) -> Result<TestRepo, Reply> {
    let state = shared.state();
    let not_found = || match request.token {
        // The hub's answer to anonymous clients, whether the repository exists or not.
        None => error(401, "", "Invalid username or password."),
        Some(_) => error(404, "RepoNotFound", "Repository not found"),
    };
    if request.token.as_deref() == Some("bad") {
        return Err(error(401, "", "Invalid credentials in Authorization header"));
    }
    if let Some(moved) = state.repos.iter().find(|r| r.old_name.as_deref() == Some(name)) {
        return Err(Reply::new(307).header("Location", request.path.replacen(name, &moved.name, 1)));
    }
    let repo = state.repos.iter().find(|r| r.name == name).ok_or_else(not_found)?;
    match &repo.private_to {
        Some(token) if request.token.as_ref() != Some(token) => Err(not_found()),
        _ => Ok(repo.clone()),
    }
}

/// `api/models/…`: `NAME`, `NAME/revision/REV` and `NAME/tree/REV`.
fn api(shared: &Shared, request: &Request, rest: &str) -> Reply {
    let mut parts = rest.splitn(4, '/');
    let (Some(organisation), Some(name)) = (parts.next(), parts.next()) else {
        return error(404, "RepoNotFound", "Repository not found");
    };
    let (kind, revision) = (parts.next().unwrap_or("revision"), parts.next().unwrap_or("main"));
    let repo = match find(shared, request, &format!("{organisation}/{name}")) {
        Ok(repo) => repo,
        Err(reply) => return reply,
    };
    if !repo.has_revision(revision) {
        return error(404, "RevisionNotFound", &format!("Invalid rev id: {revision}"));
    }
    let with_blobs = request.path.contains("blobs=true") && !shared.state().hide_blobs;
    let answer = match kind {
        "revision" => describe(&repo, with_blobs),
        "tree" => tree(&repo),
        _ => return error(404, "", "no such page"),
    };
    Reply::new(200).header("Content-Type", "application/json").body(answer.to_string())
}

fn describe(repo: &TestRepo, with_blobs: bool) -> Value {
    let sibling = |(path, content): &(String, Vec<u8>)| {
        let mut sibling = json!({"rfilename": path});
        if with_blobs {
            sibling["size"] = content.len().into();
            sibling["blobId"] = etag(content).get(..40).unwrap_or_default().into();
            if is_large(content) {
                sibling["lfs"] = json!({"sha256": etag(content), "size": content.len(), "pointerSize": 135});
            }
        }
        sibling
    };
    json!({
        "id": repo.name, "modelId": repo.name, "sha": repo.commit, "private": repo.private_to.is_some(),
        "gated": if repo.gated_to.is_some() { json!("manual") } else { json!(false) }, "disabled": false,
        "downloads": 0, "likes": 0, "tags": [], "createdAt": "2026-01-01T00:00:00.000Z",
        "lastModified": "2026-01-01T00:00:00.000Z",
        "siblings": repo.files.iter().map(sibling).collect::<Vec<_>>(),
    })
}

fn tree(repo: &TestRepo) -> Value {
    let entry = |(path, content): &(String, Vec<u8>)| {
        let oid = etag(content);
        let mut entry = json!({
            "type": "file", "oid": oid.get(..40), "size": content.len(), "path": path,
        });
        if is_large(content) {
            entry["lfs"] = json!({"oid": oid, "size": content.len(), "pointerSize": 135});
        }
        entry
    };
    repo.files.iter().map(entry).collect()
}

/// `NAME/resolve/REVISION/PATH`.
fn resolve(shared: &Shared, request: &Request, name: &str, rest: &str) -> (Reply, Option<Fault>) {
    let repo = match find(shared, request, name) {
        Ok(repo) => repo,
        Err(reply) => return (reply, None),
    };
    let Some((_, path)) = rest.split_once('/').filter(|(r, _)| repo.has_revision(r)) else {
        return (error(404, "RevisionNotFound", "Invalid rev id"), None);
    };
    if let Some(token) = &repo.gated_to
        && request.token.as_ref() != Some(token)
    {
        let status = if request.token.is_some() { 403 } else { 401 };
        return (error(status, "GatedRepo", "Access to this model is restricted."), None);
    }
    let Some(content) = repo.file(path) else {
        return (error(404, "EntryNotFound", "Entry not found").header("X-Repo-Commit", &repo.commit), None);
    };
    let fault = fault_of(shared, path);
    if let Some(status) = fault.as_ref().and_then(|f| f.status) {
        return (error(status, "", "the hub has a bad day"), None);
    }
    if is_large(content) {
        let location = format!("http://{}/{}/{path}", shared.storage, repo.name);
        let reply = Reply::new(302)
            .header("Location", location)
            .header("X-Repo-Commit", &repo.commit)
            .header("X-Linked-Etag", format!("\"{}\"", etag(content)))
            .header("X-Linked-Size", content.len().to_string())
            .header("ETag", "\"of-the-redirect\"");
        // The fault belongs to the storage server.
        if let Some(fault) = fault {
            shared.state().faults.push((format!("storage:{path}"), Fault { times: 1, ..fault }));
        }
        return (reply, None);
    }
    let reply = ranged(shared, request, content)
        .header("X-Repo-Commit", &repo.commit)
        .header("ETag", format!("\"{}\"", etag(content)));
    (reply, fault)
}

fn storage(shared: &Shared, request: &Request) -> (Reply, Option<Fault>) {
    let mut parts = request.path.trim_start_matches('/').splitn(3, '/');
    let name = [parts.next().unwrap_or_default(), parts.next().unwrap_or_default()].join("/");
    let path = parts.next().unwrap_or_default();
    let content =
        shared.state().repos.iter().find(|r| r.name == name).and_then(|r| r.file(path).map(<[u8]>::to_vec));
    match content {
        Some(content) => {
            let reply = ranged(shared, request, &content).header("ETag", "\"of-the-storage\"");
            (reply, fault_of(shared, &format!("storage:{path}")))
        }
        None => (error(404, "", "no such object"), None),
    }
}

/// A file, or the requested part of it.
fn ranged(shared: &Shared, request: &Request, content: &[u8]) -> Reply {
    let from = request.from.filter(|_| !shared.state().ignore_ranges);
    let total = content.len();
    match from {
        None => Reply::new(200).header("Accept-Ranges", "bytes").body(content),
        Some(from) if from >= total => Reply::new(416).header("Content-Range", format!("bytes */{total}")),
        Some(from) => Reply::new(206)
            .header("Content-Range", format!("bytes {from}-{}/{total}", total - 1))
            .body(content.get(from..).unwrap_or_default()),
    }
}
