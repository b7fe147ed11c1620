//! Reports about the requests of an application with axum-login.

use std::slice;

use axum::http::StatusCode;

use super::app::App;

#[tokio::test]
async fn a_login_is_reported_under_its_new_id() {
    let mut app = App::new();
    let ann = app.login(1, None).await;
    // Before it comes the deletion of an id that was never stored.
    let reported = app.reported();
    assert_eq!(reported.len(), 2);
    assert_ne!(reported[0], ann);
    assert_eq!(reported[1], ann);
    assert_eq!(app.user_of(&ann).await, Some(1));
    assert_eq!(app.send("/me", Some(&ann)).await.body, "1");
    assert_eq!(app.reported(), []);
}

#[tokio::test]
async fn a_login_over_a_session_changes_its_user() {
    let mut app = App::new();
    let ann = app.login(1, None).await;
    app.reported();
    let bob = app.login(2, Some(&ann)).await;
    assert_eq!(bob, ann);
    assert_eq!(app.reported(), slice::from_ref(&ann));
    assert_eq!(app.user_of(&ann).await, Some(2));
    assert!(!app.was_replaced(&ann).await);
}

#[tokio::test]
async fn a_new_id_is_a_rotation() {
    let mut app = App::new();
    let old = app.login(1, None).await;
    app.reported();
    let new = app.send("/cycle", Some(&old)).await.session.unwrap();
    assert_ne!(new, old);
    assert_eq!(app.reported(), [old.clone(), new.clone()]);
    assert!(app.was_replaced(&old).await);
    assert_eq!(app.user_of(&old).await, None);
    assert_eq!(app.user_of(&new).await, Some(1));
}

#[tokio::test]
async fn a_logout_is_reported_again_when_its_request_has_ended() {
    let mut app = App::new();
    let ann = app.login(1, None).await;
    app.reported();
    app.send("/logout", Some(&ann)).await;
    assert_eq!(app.reported(), [ann.clone(), ann.clone()]);
    assert!(!app.was_replaced(&ann).await);
    assert_eq!(app.user_of(&ann).await, None);
}

#[tokio::test]
async fn a_session_that_is_filled_again_after_a_logout_gets_a_new_id() {
    let mut app = App::new();
    let ann = app.login(1, None).await;
    app.reported();
    let new = app
        .send("/logout-with-message", Some(&ann))
        .await
        .session
        .unwrap();
    assert_ne!(new, ann);
    assert_eq!(app.reported(), [ann.clone(), new.clone()]);
    assert_eq!(app.user_of(&ann).await, None);
    assert_eq!(app.user_of(&new).await, None);
}

#[tokio::test]
async fn a_failure_after_a_new_id_is_a_logout() {
    let mut app = App::new();
    let ann = app.login(1, None).await;
    app.reported();
    let answer = app.send("/cycle-and-fail", Some(&ann)).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(app.reported(), [ann.clone(), ann.clone()]);
    assert!(!app.was_replaced(&ann).await);
}

#[tokio::test]
async fn a_client_that_leaves_midway_is_logged_out() {
    let mut app = App::new();
    let ann = app.login(1, None).await;
    app.reported();
    let request = tokio::spawn(app.send("/cycle-and-wait", Some(&ann)));
    app.gate.reached.notified().await;
    // Until the answer passes, it may be a rotation.
    assert_eq!(app.reported(), slice::from_ref(&ann));
    assert!(app.was_replaced(&ann).await);
    request.abort();
    assert!(request.await.is_err());
    assert_eq!(app.reported(), slice::from_ref(&ann));
    assert!(!app.was_replaced(&ann).await);
}

#[tokio::test]
async fn the_login_of_one_request_is_no_rotation_of_another() {
    let mut app = App::new();
    let ann = app.login(1, None).await;
    let request = tokio::spawn(app.send("/cycle-and-wait", Some(&ann)));
    app.gate.reached.notified().await;
    let bob = app.login(2, None).await;
    request.abort();
    assert!(request.await.is_err());
    assert!(!app.was_replaced(&ann).await);
    assert_eq!(app.reported().last(), Some(&ann));
    assert_eq!(app.user_of(&bob).await, Some(2));
}

#[tokio::test]
async fn a_request_that_ends_after_the_logout_brings_nothing_back() {
    let mut app = App::new();
    let ann = app.login(1, None).await;
    let request = tokio::spawn(app.send("/insert-and-wait", Some(&ann)));
    app.gate.reached.notified().await;
    app.send("/logout", Some(&ann)).await;
    app.reported();
    app.gate.opened.notify_one();
    assert_eq!(request.await.unwrap().status, StatusCode::OK);
    assert_eq!(app.reported(), []);
    assert_eq!(app.user_of(&ann).await, None);
    assert_eq!(app.send("/me", Some(&ann)).await.body, "");
}

#[tokio::test]
async fn a_rotation_is_seen_through_nested_layers() {
    let mut app = App::with_nested_session_layers();
    let old = app.login(1, None).await;
    app.reported();
    let new = app.send("/cycle", Some(&old)).await.session.unwrap();
    assert_eq!(app.reported(), [old.clone(), new]);
    assert!(app.was_replaced(&old).await);
}

#[tokio::test]
async fn without_the_session_layer_each_deletion_is_a_logout() {
    let mut app = App::without_session_layer();
    let old = app.login(1, None).await;
    app.reported();
    let new = app.send("/cycle", Some(&old)).await.session.unwrap();
    assert_eq!(app.reported(), [old.clone(), new.clone()]);
    assert!(!app.was_replaced(&old).await);
    app.send("/logout", Some(&new)).await;
    assert_eq!(app.reported(), [new]);
}
