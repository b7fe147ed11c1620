//! The application: pages, the chat, and the layers around them.

use std::{env, error::Error, fmt::Display, future::IntoFuture, net::SocketAddr, time::Duration};

use axum::{
    Form, Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{Html, IntoResponse, Redirect},
    routing::{get, post},
    serve::ListenerExt,
};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend};
use socketioxide::{
    SocketIo,
    extract::{Data, SocketRef, State as SocketState},
    handler::ConnectHandler,
};
use socketioxide_session::{
    Session, SessionBridge, SessionStore,
    interop::tower_sessions::{AxumLogin, PlainCookie},
};
use tokio::net::TcpListener;
use tower_sessions::SessionManagerLayer;

use crate::{
    stop,
    users::{Credentials, Users},
};

/// Data of a session, for sockets.
pub type Login = AxumLogin<i64>;

/// The pages and the server of Socket.IO, and what a shutdown needs.
pub struct App {
    router: Router,
    sessions: SessionBridge<Login>,
    io: SocketIo,
}

/// `store` is for tower-sessions, `logins` shows the same sessions to sockets.
pub fn app<S, L>(routes: Router, users: Users, store: S, logins: L) -> Result<App, Box<dyn Error>>
where
    S: tower_sessions::SessionStore + Clone,
    L: SessionStore<Data = Login>,
{
    // As without Socket.IO. Behind https, leave `with_secure` out.
    let session_layer = SessionManagerLayer::new(store).with_secure(false);
    let auth_layer = AuthManagerLayerBuilder::new(users.clone(), session_layer).build();

    let table = users.clone();
    let sessions = SessionBridge::builder(PlainCookie::new("id")?, logins)
        .verify(move |login| {
            let users = table.clone();
            async move {
                let user = users.get_user(login.user_id()).await?;
                let current = user.is_some_and(|user| login.matches(user.session_auth_hash()));
                Ok::<_, sqlx::Error>(current)
            }
        })
        .build()?;

    let (socket_layer, io) = SocketIo::builder().with_state(users).build_layer();
    io.ns("/", on_connect.with(sessions.require()));

    let router = routes
        .layer(auth_layer)
        .layer((sessions.layer(), socket_layer));
    Ok(App {
        router,
        sessions,
        io,
    })
}

pub fn routes() -> Router {
    Router::new()
        .route("/", get(page))
        .route("/style.css", get(style))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/password", post(new_password))
        .route("/account/delete", post(delete_account))
}

pub async fn serve(app: App) -> Result<(), Box<dyn Error>> {
    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // Without TCP_NODELAY, each Socket.IO handshake waits 40 ms for an acknowledgement.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    let App {
        router,
        sessions,
        io,
    } = app;
    let stopped = async move {
        stop::requested().await;
        // Touches and deletions that are owed are made now.
        sessions.shutdown(Duration::from_secs(2)).await;
        io.close().await;
    };
    let served = axum::serve(listener, router).with_graceful_shutdown(stopped);
    tokio::select! {
        served = served.into_future() => served?,
        () = some_time_after_the_stop() => tracing::warn!("some clients were cut off"),
    }
    Ok(())
}

/// A client that still polls may take half a minute to go.
async fn some_time_after_the_stop() {
    stop::requested().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
}

// --- Socket.IO --------------------------------------------------------------------------------

async fn on_connect(socket: SocketRef) {
    socket.join("chat");
    // It takes the session, so it does not run for a user that has logged out.
    socket.on(
        "say",
        async |socket: SocketRef,
               login: Session<Login>,
               users: SocketState<Users>,
               Data(text): Data<String>| {
            if let Ok(Some(user)) = users.get_user(login.data().user_id()).await {
                let _ = socket.within("chat").emit("said", &(user.name, text)).await;
            }
        },
    );
}

// --- HTTP -------------------------------------------------------------------------------------

type Auth = AuthSession<Users>;

fn failed(error: impl Display) -> StatusCode {
    tracing::error!(%error, "a request failed");
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn page(auth: Auth) -> Html<&'static str> {
    Html(match auth.user {
        Some(_) => include_str!("chat.html"),
        None => include_str!("login.html"),
    })
}

async fn style() -> impl IntoResponse {
    let style = include_str!("../../shared/style.css");
    ([(CONTENT_TYPE, "text/css")], style)
}

async fn login(mut auth: Auth, Form(form): Form<Credentials>) -> Result<Redirect, StatusCode> {
    let user = auth.authenticate(form).await.map_err(failed)?;
    let user = user.ok_or(StatusCode::UNAUTHORIZED)?;
    auth.login(&user).await.map_err(failed)?;
    Ok(Redirect::to("/"))
}

async fn logout(mut auth: Auth) -> Result<Redirect, StatusCode> {
    auth.logout().await.map_err(failed)?;
    Ok(Redirect::to("/"))
}

/// Logs the user out everywhere else.
async fn new_password(
    mut auth: Auth,
    here: Session<Login>,
    sessions: SessionBridge<Login>,
    Form(form): Form<Credentials>,
) -> Result<Redirect, StatusCode> {
    let user = auth.user.clone().ok_or(StatusCode::UNAUTHORIZED)?;
    let set = auth.backend.set_password(user, form.password).await;
    let user = set.map_err(failed)?;
    // This session gets the new hash, and is saved before all are verified.
    auth.login(&user).await.map_err(failed)?;
    auth.session.save().await.map_err(failed)?;
    sessions.revalidate().await;
    // On the other nodes too, if the store has an index of users.
    if let Err(error) = sessions.end_other_sessions(&here).await {
        tracing::debug!(%error, "the sockets of other nodes end when they are verified");
    }
    Ok(Redirect::to("/"))
}

async fn delete_account(
    mut auth: Auth,
    sessions: SessionBridge<Login>,
) -> Result<Redirect, StatusCode> {
    let user = auth.user.clone().ok_or(StatusCode::UNAUTHORIZED)?;
    auth.backend.delete(&user).await.map_err(failed)?;
    auth.logout().await.map_err(failed)?;
    sessions.revalidate().await;
    if let Err(error) = sessions.end_sessions_of_user(&user.id.to_string()).await {
        tracing::debug!(%error, "the sockets of other nodes end when they are verified");
    }
    Ok(Redirect::to("/"))
}
