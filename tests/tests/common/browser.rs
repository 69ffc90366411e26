//! A real Chromium without a window, spoken to in the DevTools protocol over two pipes.
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// One page. Killed when it is dropped.
pub struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    said: u64,
    session: Value,
    _profile: TempDir,
}

impl Browser {
    /// Opens a page; `None` where there is no Chromium. Blocks.
    pub fn open(url: &str) -> Option<Self> {
        let there = |name: &&str| {
            let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        };
        let name = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(there)?;
        let profile = tempfile::tempdir().unwrap();
        let pipe = |which: &str| {
            let path = profile.path().join(which);
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            path
        };
        let (to, from) = (pipe("to"), pipe("from"));
        // It reads commands from descriptor 3 and answers on 4.
        let child = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<"$TO" 4>"$FROM""#, name])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .args(["--remote-debugging-pipe", "about:blank"])
            .env("TO", &to)
            .env("FROM", &from)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let to = File::options().write(true).open(to).unwrap();
        let from = BufReader::new(File::open(from).unwrap());
        let mut browser = Self { child, to, from, said: 0, session: Value::Null, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].clone();
        browser.call("Page.navigate", &json!({"url": url}));
        browser.until("document.readyState === 'complete' && location.protocol === 'http:'").into()
    }

    /// The value of an expression in the page. Blocks.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let evaluated = self.call("Runtime.evaluate", &json!({"expression": expression}));
        assert_eq!(evaluated["exceptionDetails"], Value::Null, "{expression}");
        evaluated["result"]["value"].clone()
    }

    /// The page's text, as it is laid out. Blocks.
    pub fn text(&mut self) -> String {
        self.evaluate("document.body.innerText").as_str().unwrap().to_owned()
    }

    /// Waits until an expression is true. Blocks, for less than a minute.
    pub fn until(mut self, expression: &str) -> Self {
        let began = Instant::now();
        while self.evaluate(expression) != true {
            assert!(began.elapsed() < Duration::from_secs(50), "never became true: {expression}\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
        self
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.said += 1;
        let mut message = json!({"id": self.said, "method": method, "params": parameters});
        if self.session.is_string() {
            message["sessionId"] = self.session.clone();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = Vec::new();
            assert!(self.from.read_until(0, &mut answer).unwrap() > 0, "the browser ended");
            answer.pop();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["id"] == self.said {
                assert_eq!(answer["error"], Value::Null, "{method}");
                return answer["result"].clone();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
