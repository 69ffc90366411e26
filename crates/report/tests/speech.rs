//! What pictures of speech show, and that they are whole whatever the speech was.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "samples")]
mod voice;
mod xml;

use sottovoce_report::speech::{
    ClientCounts, ClientRow, EmotionCount, Matrix, PartitionPicture, Recording, Spectrogram, emotion_counts,
    emotion_counts_by_client, partition, recording,
};
use voice::{EMOTIONS, Voice, noise, partition as sample_partition};

const SYNTHETIC: &str = "synthetic voices: says nothing about emotion in human speech";
const LEAKS: &str = "LEAKS: speakers of the test set are trained on";
const EVIL: &str = "<script>alert(1)</script>\"'&\u{1}";

fn counts() -> Vec<EmotionCount<'static>> {
    let clips = [192, 188, 7, 1376, 96, 0];
    EMOTIONS.into_iter().zip(clips).map(|(emotion, clips)| EmotionCount { emotion, clips }).collect()
}

/// A picture must be a file of its own that is well formed, says what it is, and loads nothing.
fn check(svg: &str) {
    xml::check(svg);
    for must in
        ["xmlns=\"http://www.w3.org/2000/svg\"", "role=\"img\"", "<title>", "<desc>", "prefers-color-scheme:dark"]
    {
        assert!(svg.contains(must), "{must}");
    }
    let inside = svg.replacen("http://www.w3.org/2000/svg", "", 1);
    for never in ["http", "<script", "href", "url(", "@import", "NaN", "=\"inf", "=\"-inf"] {
        assert!(!inside.contains(never), "{never}");
    }
}

/// What a reader sees.
fn texts(svg: &str) -> Vec<&str> {
    svg.split("<text").skip(1).map(|t| t.split_once('>').unwrap().1.split_once("</text>").unwrap().0).collect()
}

fn empty() -> Recording<'static> {
    let none = Matrix::by_row(0, &[]).unwrap();
    Recording {
        title: "Nothing",
        sample_rate_hz: 0,
        samples: &[],
        spectrogram: Spectrogram { decibels: none, max_hz: f64::NAN, seconds: f64::NAN },
        mfcc: none,
        frame_hop_s: f64::INFINITY,
        synthetic: false,
    }
}

#[test]
fn nothing_is_drawn_as_nothing_and_says_so() {
    let nobody = PartitionPicture::new(vec![], vec![]);
    for (svg, said) in [
        (emotion_counts("Nothing", &[], None, false), "no values"),
        (emotion_counts_by_client("Nothing", &EMOTIONS, &[], None, false), "no clients"),
        (
            emotion_counts_by_client("Nothing", &[], &[ClientCounts { client: "a", clips: &[] }], None, false),
            "no emotions",
        ),
        (recording(&empty()), "no samples"),
        (recording(&empty()), "no frames"),
        (partition(&nobody), "no clients"),
    ] {
        check(&svg);
        assert!(texts(&svg).contains(&said), "{said}: {:?}", texts(&svg));
    }
    check(&emotion_counts("Zeros", &[EmotionCount { emotion: "sad", clips: 0 }], None, false));
}

#[test]
fn hostile_names_stay_text() {
    let mut picture = sample_partition(3);
    picture.classes[0] = EVIL.to_owned();
    picture.clients[0].name = EVIL.to_owned();
    picture.test.as_mut().unwrap().name = EVIL.to_owned();
    let one = [EmotionCount { emotion: EVIL, clips: 1 }];
    for svg in [
        emotion_counts(EVIL, &one, Some(EVIL), false),
        emotion_counts_by_client(EVIL, &[EVIL], &[ClientCounts { client: EVIL, clips: &[3] }], Some(EVIL), false),
        recording(&Recording { title: EVIL, ..empty() }),
        partition(&picture),
    ] {
        check(&svg);
        assert!(svg.contains("&lt;script&gt;"));
    }
}

#[test]
fn every_count_and_the_total_stand_in_the_bars() {
    let svg = emotion_counts("A corpus", &counts(), Some("a note under the title"), false);
    check(&svg);
    let shown = texts(&svg);
    for said in [
        "192 (10 %)",
        "7 (&lt;1 %)",
        "1376 (74 %)",
        "0 (0 %)",
        "1859 clips in total, 6 emotions",
        "a note under the title",
    ] {
        assert!(shown.contains(&said), "{said}: {shown:?}");
    }
}

#[test]
fn a_hundred_clients_each_keep_their_row_and_their_numbers() {
    let names: Vec<String> = (0..100).map(|i| format!("client {i}")).collect();
    let clips: Vec<[u64; 6]> = (0..100).map(|i| [i, 2 * i, 1000 + i, 0, 5, 7]).collect();
    let row = |(client, clips): (&'static str, &'static [u64; 6])| ClientCounts { client, clips };
    let leak = |names: Vec<String>| -> Vec<&'static str> { names.into_iter().map(|n| &*n.leak()).collect() };
    let clips: &'static [[u64; 6]] = clips.leak();
    let clients: Vec<_> = leak(names).into_iter().zip(clips).map(row).collect();
    let svg = emotion_counts_by_client("Many", &EMOTIONS, &clients, None, false);
    check(&svg);
    let shown = texts(&svg);
    for said in ["client 0", "client 99", "1099", "198", "104950", "angry"] {
        assert!(shown.contains(&said), "{said}");
    }
    let svg = partition(&sample_partition(100));
    check(&svg);
    assert!(texts(&svg).contains(&"clinic-100") && svg.len() < 300_000, "{}", svg.len());
}

#[test]
fn counts_that_are_missing_are_a_dash_and_counts_too_many_have_no_name() {
    let clients = [ClientCounts { client: "short", clips: &[3] }];
    assert!(texts(&emotion_counts_by_client("Short", &EMOTIONS, &clients, None, false)).contains(&"–"));
    let row = |name: &str, counts| ClientRow { name: name.to_owned(), speakers: 1, counts };
    let mut picture =
        PartitionPicture::new(vec!["sad".to_owned()], vec![row("long", vec![1, u64::MAX]), row("short", vec![])]);
    picture.clients.push(row("long too", vec![u64::MAX, u64::MAX]));
    let svg = partition(&picture);
    check(&svg);
    assert!(texts(&svg).contains(&"–") && texts(&svg).contains(&"?"));
}

#[test]
fn cells_show_their_counts_up_to_thirty_clients_and_to_the_pointer_beyond() {
    let odd = |clients| {
        let mut picture = sample_partition(clients);
        picture.clients[1].counts[2] = 98_765;
        partition(&picture)
    };
    assert!(texts(&odd(30)).contains(&"98765"));
    assert!(!texts(&odd(31)).contains(&"98765"));
    assert!(odd(31).contains("<title>clinic-02, fearful: 98765 clips</title>"));
    assert!(texts(&odd(31)).contains(&"64"), "what is held out keeps its numbers");
}

#[test]
fn leaks_have_a_banner_and_partitions_by_speaker_have_none() {
    let mut picture = sample_partition(4);
    assert!(!partition(&picture).contains("LEAKS"));
    picture.leaks = true;
    let svg = partition(&picture);
    check(&svg);
    assert!(texts(&svg).contains(&LEAKS) && svg.contains("class=\"alarm\""));
}

#[test]
fn synthetic_voices_are_named_in_every_picture_and_human_voices_are_not() {
    let draw = |synthetic| {
        let partitioned = PartitionPicture { synthetic, ..sample_partition(2) };
        [
            emotion_counts("A corpus", &counts(), None, synthetic),
            emotion_counts_by_client("A corpus", &EMOTIONS, &[], None, synthetic),
            recording(&Recording { synthetic, ..empty() }),
            partition(&partitioned),
        ]
    };
    assert!(draw(false).iter().all(|svg| !svg.contains("synthetic")));
    assert!(draw(true).iter().all(|svg| texts(svg).contains(&SYNTHETIC)));
}

#[test]
fn values_that_are_no_numbers_are_marked_and_counted() {
    let voice = Voice::new(0.4);
    let whole = recording(&voice.recording());
    assert!(
        !whole.contains("Not finite") && !whole.contains("class=\"void\"") && !whole.contains("stroke=\"#e6007e\"")
    );
    let mut broken = voice;
    broken.samples[100] = f32::NAN;
    broken.samples[101] = f32::INFINITY;
    broken.decibels[3] = f32::NAN;
    broken.decibels[4] = f32::INFINITY;
    broken.decibels[5] = f32::NEG_INFINITY;
    broken.mfcc[7] = f32::NEG_INFINITY;
    let svg = recording(&broken.recording());
    check(&svg);
    let said = "Not finite, in magenta: 2 samples, 2 spectrogram values, 1 MFCC value";
    assert!(texts(&svg).contains(&said), "silence of −∞ dB is a value: {:?}", texts(&svg));
    assert!(svg.contains("class=\"void\"") && svg.matches("stroke=\"#e6007e\"").count() == 2);
}

#[test]
fn nothing_but_nonsense_is_still_a_picture() {
    for nonsense in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.0] {
        let values = [nonsense; 600];
        let matrix = Matrix::by_row(20, &values).unwrap();
        for seconds in [f64::NAN, -1.0, 0.0, 1e300, 1e-300, 1.0] {
            let spectrogram = Spectrogram { decibels: matrix, max_hz: seconds, seconds };
            let nonsense = Recording { samples: &values, sample_rate_hz: 600, spectrogram, mfcc: matrix, ..empty() };
            check(&recording(&Recording { frame_hop_s: seconds, ..nonsense }));
        }
    }
}

#[test]
fn a_coefficient_that_never_changes_is_all_one_middle_colour() {
    let values = [0.1; 98];
    let mfcc = Matrix::by_row(1, &values).unwrap();
    let svg = recording(&Recording { mfcc, frame_hop_s: 0.01, ..empty() });
    let map = svg.split("<g ").find(|g| g.contains("width=\"98\"")).unwrap();
    assert!(map.starts_with("shape-rendering") && !map.contains("<path"), "no cell differs from the ground");
}

#[test]
fn samples_without_a_rate_are_not_called_none() {
    let svg = recording(&Recording { samples: &[0.5, -0.5], ..empty() });
    assert!(texts(&svg).contains(&"length not known") && !texts(&svg).contains(&"no samples"));
}

#[test]
fn a_recording_names_its_rate_its_peak_and_its_frequencies() {
    let svg = recording(&Voice::new(1.0).recording());
    check(&svg);
    let shown = texts(&svg);
    let said = "1 s · 16000 Hz · 16000 samples";
    assert!(
        shown
            .iter()
            .any(|t| t.starts_with(said) && t.contains("201 bins × 98 frames") && t.contains("13 MFCCs × 98 frames")),
        "{shown:?}"
    );
    for said in ["Waveform", "Spectrogram", "MFCC", "dB", "SD", "8", "0.586", "−0.586", "12", "−3", "time, s"] {
        assert!(shown.contains(&said), "{said}: {shown:?}");
    }
}

#[test]
fn a_picture_stays_small_however_long_the_recording_and_however_wild_its_values() {
    // Noise in every cell: no two neighbours are one run.
    let wild = |seconds: usize, coefficients: usize| {
        let mut draw = noise(3);
        let mut values = |n: usize| (0..n).map(|_| draw.next().unwrap() as f32).collect::<Vec<f32>>();
        let (samples, frames) = (values(16_000 * seconds), 100 * seconds);
        let decibels: Vec<f32> = values(257 * frames).into_iter().map(|v| 200.0 * v).collect();
        let mfcc = values(coefficients * frames);
        let decibels = Matrix::by_column(257, &decibels).unwrap();
        let spectrogram = Spectrogram { decibels, max_hz: 8000.0, seconds: seconds as f64 };
        let mfcc = Matrix::by_column(coefficients, &mfcc).unwrap();
        let svg = recording(&Recording {
            sample_rate_hz: 16_000,
            samples: &samples,
            spectrogram,
            mfcc,
            frame_hop_s: 0.01,
            ..empty()
        });
        check(&svg);
        svg.len()
    };
    let (short, long) = (wild(5, 40), wild(60, 80));
    assert!(short < 600_000 && long < 600_000, "{short} {long}");
    let voice = recording(&Voice::new(5.0).recording()).len();
    assert!(voice < 400_000, "{voice}");
}

#[test]
fn a_partition_reads_back_from_json() {
    let picture = sample_partition(3);
    let text = serde_json::to_string(&picture).unwrap();
    assert_eq!(serde_json::from_str::<PartitionPicture>(&text).unwrap(), picture);
    assert!(serde_json::from_str::<PartitionPicture>("{\"clients\":[]}").is_err());
}

/// Writes pictures of made-up data to look at: `cargo test -p sottovoce-report --test speech -- --ignored`, then see
/// `target/tmp`.
#[test]
#[ignore = "writes pictures for people to look at"]
fn pictures_to_look_at() {
    let write = |name: &str, svg: &str| {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(path, svg).unwrap();
    };
    let note = "CREMA-D-like counts, made up; neutral was recorded less often than the others, as it is in most corpora of acted speech.";
    write("emotion-counts.svg", &emotion_counts("Clips by emotion", &counts(), Some(note), true));
    for n in [3, 12, 100] {
        let mut picture = sample_partition(n);
        let row = |r: &ClientRow| (r.name.clone(), r.counts.clone());
        let rows: Vec<_> = picture.clients.iter().map(row).collect();
        let clients: Vec<_> = rows.iter().map(|(client, clips)| ClientCounts { client, clips }).collect();
        let svg = emotion_counts_by_client("Clips by client and emotion", &EMOTIONS, &clients, None, n == 12);
        write(&format!("emotions-by-client-{n}.svg"), &svg);
        picture.leaks = n == 12;
        write(&format!("partition-{n}.svg"), &partition(&picture));
    }
    for seconds in [2.5, 5.0] {
        write(&format!("recording-{seconds}.svg"), &recording(&Voice::new(seconds).recording()));
    }
    let mut broken = Voice::new(1.3);
    broken.samples[9000..9500].fill(f32::NAN);
    broken.decibels[201 * 20..201 * 21].fill(f32::NAN);
    broken.mfcc[13 * 30 + 4] = f32::INFINITY;
    write("recording-broken.svg", &recording(&broken.recording()));
    write("recording-empty.svg", &recording(&empty()));
}
