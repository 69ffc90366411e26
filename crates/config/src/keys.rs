//! Every key, with what it means. Unknown keys are told from known ones here, and `configs/README.md` shows this table.
use sottovoce_types::edits;

use crate::Config;

/// The sections, in the order of a file.
pub(crate) const SECTIONS: &[&str] = &[
    "run",
    "corpus",
    "features",
    "partition",
    "model",
    "training",
    "privacy",
    "aggregation",
    "server",
    "transport",
    "sweep",
    "audit",
];

/// One key of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Its section.
    pub section: &'static str,
    /// Its name; the unit is part of it.
    pub key: &'static str,
    /// What it means.
    pub says: &'static str,
}

const fn key(section: &'static str, key: &'static str, says: &'static str) -> Key {
    Key { section, key, says }
}

/// Every key, in the order of a file.
pub fn all_keys() -> &'static [Key] {
    KEYS
}

pub(crate) fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |k| k.section == section)
}

const KEYS: &[Key] = &[
    key("run", "name", "A name for people."),
    key("run", "rounds", "Training rounds."),
    key(
        "run",
        "seed",
        "Seed of what may be repeatable: initial model, order of examples. Never of deployed noise or keys.",
    ),
    key("run", "evaluate_every", "Evaluate every so many rounds; 0 for the last model alone."),
    key(
        "run",
        "dropout",
        "For simulations alone: with which probability, from 0 to below 1, each client falls silent in a round, after a step drawn at random (it has the model, its keys, its shares, its input or its signature are in), and comes back when its deadline is over. The same clients in every run of one seed.",
    ),
    key(
        "corpus",
        "kind",
        "`synthetic`, `crema-d`, `iemocap`, `ravdess`, `emodb`, `savee`, `tess`, `manifest` (a CSV file that lists recordings), or `auto` (told by the names of the files).",
    ),
    key(
        "corpus",
        "path",
        "Folder of the recordings, or the manifest's CSV file. Needed unless the corpus is synthetic or `cache` is complete.",
    ),
    key("corpus", "cache", "HDF5 file of the extracted features; made where it is missing."),
    key(
        "corpus",
        "train_only",
        "File that lists the utterances that this site trains on: paths as in the cache, one a line. All of them where it is not given.",
    ),
    key(
        "corpus",
        "labelling",
        "Whose judgement is the label: `intended` (what the actor was asked for; in IEMOCAP, the majority of its raters), or for CREMA-D `voice` or `multimodal` (most of those who heard it, or heard and saw it).",
    ),
    key(
        "corpus",
        "labels",
        "Classes: `five` (angry, fear, happy, neutral, sad: the seed paper's), `four` (angry, happy with excited, neutral, sad), `six` (the five and disgust), or `auto`: four on IEMOCAP, whose fear has 40 clips, five elsewhere.",
    ),
    key("corpus", "synth_speakers", "Speakers to synthesise."),
    key("corpus", "synth_sentences", "Sentences that each of them speaks in each emotion."),
    key(
        "features",
        "convention",
        "Whose arithmetic: `sottovoce`, `python_speech_features`, `librosa`, `torchaudio`, `kaldi`, `htk`. Gives every other key of this section the default that its library has, and settles what no key does: framing, where pre-emphasis acts, the geometry of the mel triangles, the logarithm.",
    ),
    key("features", "sample_rate_hz", "Samples per second; recordings at another rate are resampled."),
    key(
        "features",
        "noise_snr_db",
        "White noise added to each recording at this signal-to-noise ratio in decibels, to see what noise does and denoising mends; the same for the same recording. `none`, or not given: none is added.",
    ),
    key(
        "features",
        "denoise",
        "`none`, `spectral-subtraction` (mild), `spectral-gating`, or `wiener` (decision-directed). On clean acted speech it brings nothing and can cost 2 to 4 points.",
    ),
    key(
        "features",
        "trim_db",
        "Cut what is before and after the voice: frames that lie this many decibels below the loudest one (30 is usual). `none`, or not given: nothing is cut.",
    ),
    key(
        "features",
        "loudness",
        "`as-recorded`, `peak` (largest sample at full scale) or `rms` (20 dB below full scale). Loudness tells emotions apart: full scale for all costs about 2 points.",
    ),
    key("features", "frame_ms", "Length of a frame."),
    key("features", "hop_ms", "Step between frames."),
    key("features", "n_fft", "Length of the discrete Fourier transform, in samples."),
    key("features", "window", "`hamming`, `hann`, `povey` or `rectangular`."),
    key("features", "preemphasis", "Factor a in y\\[n\\] = x\\[n\\] − a·x\\[n−1\\]."),
    key("features", "n_mels", "Mel filters."),
    key("features", "mel_scale", "`htk` (2595·log10(1 + f/700)) or `slaney` (linear to 1 kHz)."),
    key("features", "mel_norm", "Height of the triangles: `peak` (1) or `area` (2 / width in Hz)."),
    key("features", "mel_low_hz", "Lower edge of the mel bank."),
    key("features", "mel_high_hz", "Upper edge of the mel bank."),
    key("features", "log_floor", "Smallest mel energy, so that silence has a logarithm."),
    key("features", "n_mfcc", "Cepstral coefficients kept, c0 first."),
    key("features", "lifter", "Length of the sinusoidal lifter; 0 for none."),
    key("features", "first_coefficient", "`cepstral` (c0), or `log-energy` of the frame in its place."),
    key("features", "deltas", "Orders of differences appended to each frame: 0, 1 or 2."),
    key(
        "features",
        "standardisation",
        "`per-speaker` (mean 0, variance 1 over a speaker's own clips; nothing leaves the device), `per-utterance` (over the frames of each clip; costs about 6 points), `public` (by the mean and variance of synthesised voices: nobody's data, and no utterance moves another's features) or `none`.",
    ),
    key(
        "partition",
        "mode",
        "How speakers reach clients: `natural` (one recording group, such as IEMOCAP's sessions, at each client where they are as many; otherwise speakers in the order of their names), `speakers` (at random), `balanced` (at random, then the same emotions at each client), `dirichlet` (at random, then skewed emotions). A speaker is never at two clients.",
    ),
    key("partition", "clients", "Clients. In a deployment the manifest says."),
    key(
        "partition",
        "speakers_per_client",
        "Speakers at each client in mode `speakers`; 0 deals all training speakers out as evenly as their number allows, as the other modes do.",
    ),
    key("partition", "alpha", "Concentration in mode `dirichlet`; smaller is more skewed."),
    key(
        "partition",
        "test_speakers",
        "Speakers kept for testing: a number, or a list of names. Never trained on. Not looked at where `folds` is above 0, whether set here or in a file that this one extends; a list of names is then an error.",
    ),
    key(
        "partition",
        "folds",
        "Folds of a cross-validation, 2 or more, one of which is tested on: over all of them every speaker is tested exactly once. 0 for none: `test_speakers` says whom to test on.",
    ),
    key("partition", "fold", "The fold that is tested on, from 1 to `folds`."),
    key(
        "partition",
        "fold_by",
        "What a fold leaves out: `speaker` (a block of the speakers in the order of their names, as scikit-learn's `KFold` cuts them) or `group` (a recording group: IEMOCAP's sessions, with `folds = 5`). With `split = \"random\"`, either is a block of the shuffled clips.",
    ),
    key(
        "partition",
        "holdout_fraction",
        "Share of each training speaker's utterances that is never trained on: the non-members of the membership audit.",
    ),
    key(
        "partition",
        "split",
        "`speaker`, or `random`, which lets speakers leak from training to test and is printed as leaking on every result.",
    ),
    key("partition", "seed", "Seed of who goes where, and of synthetic voices."),
    key(
        "model",
        "kind",
        "`dnn` (fully connected, on statistics of a clip), `cnn`, `lstm`, `lstm-transformer`, `attention-fcn` (on its frames), `text-cnn` (on frames and the words of the transcript).",
    ),
    key(
        "model",
        "size",
        "Widths where no key below says otherwise: `standard`, or `small`, hundreds to a few thousand parameters, because noise grows with their number.",
    ),
    key("model", "hidden", "`dnn`: width of each hidden layer; `[]` for a linear model. `[64]`, small `[8]`."),
    key(
        "model",
        "channels",
        "`cnn`, `attention-fcn`, `text-cnn`: channels of each convolution. `[64, 64]`, small `[12]`.",
    ),
    key("model", "kernel", "The same: frames that a convolution sees, an odd number. 5."),
    key("model", "units", "`lstm`, `lstm-transformer`: width of the state. 64, small 8."),
    key("model", "bidirectional", "`lstm`: whether it reads in both directions. `false`."),
    key("model", "heads", "`lstm-transformer`: heads of the self-attention, a divisor of `units`. 4, small 2."),
    key("model", "feed_forward", "`lstm-transformer`: width of its feed-forward part. 128, small 16."),
    key("model", "attention", "`attention-fcn`: width of the layer that scores a frame. 32, small 4."),
    key("model", "vocabulary", "`text-cnn`: rows of the table into which words are hashed. 2048, small 64."),
    key("model", "embedding", "`text-cnn`: width of a word's vector. 32, small 6."),
    key("model", "text_channels", "`text-cnn`: channels of the convolution over words. 32, small 8."),
    key("model", "text_kernel", "`text-cnn`: words that it sees, an odd number. 3."),
    key("training", "epochs", "Passes over a unit's examples in one round."),
    key(
        "training",
        "steps",
        "So many steps of a unit in one round, for every unit alike, instead of `epochs`; 0 for none. SCAFFOLD needs it.",
    ),
    key("training", "batch", "Examples of one pass through the model; memory grows with it."),
    key(
        "training",
        "accumulate",
        "Batches whose gradients make one step, which is then that of one batch as large as all of them.",
    ),
    key("training", "optimiser", "`sgd`, or `adamw` (β 0.9 and 0.999, ε 1e-8)."),
    key(
        "training",
        "learning_rate",
        "Learning rate of a client. With `privacy.unit = \"utterance\"`, of the step that the released mean makes.",
    ),
    key(
        "training",
        "schedule",
        "How it changes over the rounds: `constant`, `linear` or `cosine`, both to 0 after the last.",
    ),
    key("training", "warmup_rounds", "Rounds in which it rises in a straight line before that."),
    key("training", "momentum", "Momentum of SGD; 0 for none."),
    key("training", "weight_decay", "L2 penalty (SGD), or decoupled decay (AdamW); 0 for none."),
    key("training", "proximal_mu", "FedProx's μ, the pull towards the model of the round; 0 for none."),
    key("training", "label_smoothing", "Share of the target that is spread evenly over all classes."),
    key(
        "training",
        "class_weights",
        "What an example of each class counts in the loss: `none`, a list of one number for each class, or `balanced` (within what each unit trains on; nothing leaves it).",
    ),
    key("training", "device", "`cpu`, or `cuda:0` (the first GPU) in builds with the feature `cuda`."),
    key(
        "privacy",
        "unit",
        "What neighbouring data sets differ by: `speaker`, `utterance` (DP-FedSGD: one gradient of every utterance a round, and `training` gives its learning rate alone), `client`, or `none` (no differential privacy: epsilon is infinite).",
    ),
    key(
        "privacy",
        "sampling_rate",
        "With which probability each speaker or utterance takes part in a round, by its own site's secret coins (Poisson sampling); 1 is all of them. The noise that ε takes shrinks with it, for whoever does not know who was drawn; the mean is that of the units expected.",
    ),
    key("privacy", "clip_l2", "L2 bound C of one unit's update."),
    key("privacy", "clip_bits", "C is 2^clip_bits steps of the integer grid."),
    key(
        "privacy",
        "adaptive_clip",
        "Whether C follows a quantile of the units' update norms, from `clip_l2` on (Andrew et al. 2021); for the units `speaker` and `utterance`. The count that it follows is noised and released with the mean: ε stays what it is, and the noise on the mean grows a little.",
    ),
    key("privacy", "clip_quantile", "The share of units that should be within C."),
    key("privacy", "clip_learning_rate", "η of C ← C·exp(−η·(share within C − `clip_quantile`))."),
    key(
        "privacy",
        "clip_count_noise",
        "Standard deviation of the noise on the count of units within C. Where it is not given: a twentieth of the units, and at least 1.2 times the noise multiplier, which makes the noise on the mean a tenth larger. Refused where the count would cost more than a quarter, or say nothing.",
    ),
    key(
        "privacy",
        "epsilon",
        "ε of the whole run; noise is calibrated for `run.rounds`. 8 where neither it nor `noise_multiplier` is given.",
    ),
    key("privacy", "delta", "δ. Must be below 1 / units."),
    key(
        "privacy",
        "noise_multiplier",
        "Standard deviation of the honest noise on the sum, divided by C; instead of `epsilon`.",
    ),
    key(
        "privacy",
        "epsilon_budget",
        "No attempt is begun that would spend more than this. Where it is not given: `epsilon`, or what `run.rounds` rounds cost.",
    ),
    key(
        "privacy",
        "spare_attempts",
        "Attempts beyond one a round for which noise calibrated from `epsilon` leaves room: a coordinator that dies between the \
         unmask request and publication has spent an attempt, and without a spare one the run ends a round early.",
    ),
    key(
        "privacy",
        "site_epsilon_cap",
        "For `sottovoce client` alone: what this site spends at most, where that is less than `epsilon_budget`. It is no part of the plan: sites \
         may differ, and nobody is told. A round that would go beyond it is declined, and the process ends with exit code 10. Fixed by the \
         first round joined in a state directory.",
    ),
    key(
        "aggregation",
        "mode",
        "`secure`, or `plain` (no masks: the coordinator sees every update), which only simulations accept.",
    ),
    key(
        "aggregation",
        "mask_suite",
        "What makes the masks, the same at every party: `aes-256-ctr`, `chacha20` (as strong, for processors without AES instructions), `aes-128-ctr` (a little faster), or `chacha8`, which only simulations accept.",
    ),
    key(
        "aggregation",
        "key_agreement",
        "How clients agree on the keys of masks and envelopes, the same at every party: `x25519`, or `x25519-ml-kem-768`, one key from X25519 and from ML-KEM-768 \
         (FIPS 203), so that traffic recorded today stays closed to a quantum computer. It costs 2368 bytes more an advert, and 1089 to 2209 more an envelope.",
    ),
    key("aggregation", "lanes", "Integers per 64-bit word, 1 to 6. More lanes are fewer bytes and less headroom."),
    key(
        "aggregation",
        "rotation",
        "`none`, or `hadamard`: random signs and a Walsh–Hadamard transform before the integer grid, undone on the sum. One unit's coordinate is then \
         at most 6·C/√b instead of C (b: the largest power of four that is at most the model's parameters and at most 65536), which pays for more \
         `lanes` or `clip_bits` where units are many and noise does not fill the lane anyway: with DP-FedSGD's thousands of utterances, not with a few dozen \
         speakers. Privacy is the same.",
    ),
    key("aggregation", "n_min", "Clients needed for a round."),
    key(
        "aggregation",
        "max_corrupt",
        "f: clients that may be corrupt and collude with the coordinator. An opened sum is sure of floor((n + f) / 2) + 1 − f honest inputs.",
    ),
    key(
        "aggregation",
        "noise_removal",
        "`none`, or `layers`: each client's noise is a base and layers, and once a quorum has signed who is in the sum, the seeds of the layers that dropouts \
         did not make necessary are opened and these layers taken off, to the bit. The honest noise reaches what is charged either way. Without removal \
         everybody staying means (n − f)/(q − f) times the variance that is charged; with it, a few per cent more than charged. Costs: up to log2(n) more vectors of noise a client and as \
         many a client at the coordinator, and 96 bytes a layer and pair. Against more than f colluding clients a single client's own noise protects less; `explain` shows by how much.",
    ),
    key(
        "aggregation",
        "audit_chunks",
        "Random chunks of 64 KiB of each opened sum that every client computes again from the masked inputs, 0 for none. A coordinator that falsifies the \
         fraction p of a sum's chunks escapes n clients of c chunks with probability (1 − p)^(nc) at most; one false chunk of m escapes with (1 − c/m)^n. Each \
         chunk costs a client 64 KiB a contributor. The coordinator keeps the masked inputs of two rounds on its disk.",
    ),
    key(
        "aggregation",
        "graph",
        "Between whom secrets are shared and masks are made: `complete` (everybody and everybody), `sparse` (neighbours that clients \
         choose by themselves; their number k and the threshold t follow from the roster, `max_corrupt`, `max_dropout` and \
         `graph_adversary`, so that privacy fails with probability 2^-40 and an attempt with 2^-20 at most), or `auto` (complete up to \
         128 clients on a round's roster, sparse above). The same at every party. `sottovoce explain` shows what comes of it.",
    ),
    key(
        "aggregation",
        "max_dropout",
        "Sparse graphs: the share of the clients that may fall silent after they dealt their shares, from 0 to below 1. More of them \
         can end an attempt; nobody's privacy depends on it.",
    ),
    key(
        "aggregation",
        "graph_adversary",
        "Sparse graphs: `malicious`, or `one-survivor-set`, which relies on the quorum's signatures alone to keep the coordinator from \
         opening two survivor sets, for about half the neighbours.",
    ),
    key(
        "aggregation",
        "max_attempts",
        "Attempts at one round before the run fails; clients join no more of them. Each attempt that reached the unmasking is charged.",
    ),
    key("aggregation", "max_update_l2", "With `privacy.unit = \"none\"`: the largest update that can be encoded."),
    key(
        "server",
        "optimiser",
        "How the released mean moves the model: `fedavg` (θ ← θ + learning rate × mean), `fedavgm` (with momentum; Hsu et al. 2019), `fedadagrad`, `fedadam`, `fedyogi` (Reddi et al. 2021, Algorithm 2, without bias correction, as there), `scaffold` (Karimireddy et al. 2020, Algorithm 1: FedAvg with control variates against client drift, for `privacy.unit = \"none\"`, `training.steps` above 0 and SGD without momentum; `aggregation.max_update_l2` must leave room for K steps along one gradient).",
    ),
    key(
        "server",
        "learning_rate",
        "Learning rate of the server. The adaptive rules want a small one, such as 0.01 to 0.1.",
    ),
    key("server", "momentum", "`fedavgm`: β, at least 0 and below 1."),
    key(
        "server",
        "beta1",
        "`fedadagrad`, `fedadam`, `fedyogi`: β₁, at least 0 and below 1. The paper sets 0 for `fedadagrad`.",
    ),
    key("server", "beta2", "`fedadam`, `fedyogi`: β₂, at least 0 and below 1."),
    key("server", "tau", "`fedadagrad`, `fedadam`, `fedyogi`: τ, above 0. Smaller is more adaptive."),
    key("transport", "listen", "Address on which the coordinator listens."),
    key("transport", "coordinator", "Where clients find it: `host:port`."),
    key("transport", "identity", "File of this party's private identity key. It never leaves the site."),
    key("transport", "manifest", "File of the federation's manifest: who belongs to it, by public key."),
    key(
        "transport",
        "manifest_sha256",
        "The manifest's digest, as `sottovoce cert show` prints it and as people compared it. A client needs this or `consortium`: a manifest that somebody else \
         may change is no protection.",
    ),
    key(
        "transport",
        "consortium",
        "Public keys of which every one must have signed the manifest (`sottovoce cert sign`). A later revision that they signed is accepted.",
    ),
    key("transport", "state", "Folder of this party's journal, ledger and checkpoints."),
    key(
        "transport",
        "dashboard",
        "Where the coordinator shows the run over HTTP, read-only: a page, `/state.json`, `/events`, Prometheus metrics at `/metrics` ([docs/operating.md](../docs/operating.md)). Port 0 takes a free one; where the port is taken, a free one is used and named. `--no-dashboard` leaves it out.",
    ),
    key(
        "transport",
        "dashboard_public",
        "Whether `dashboard` may be an address that other machines reach. It has no password: whoever reaches it sees who takes part, and when.",
    ),
    key("transport", "join_deadline_ms", "How long the coordinator waits for members before the first round."),
    key("transport", "advert_deadline_ms", "How long a client may train before it advertises its keys."),
    key("transport", "phase_deadline_ms", "How long each later phase of a round may last."),
    key("sweep", "epsilons", "Targets of ε; 0 or `\"none\"` is a run without differential privacy."),
    key("sweep", "seeds", "Seeds; each replaces `run.seed`."),
    key(
        "sweep",
        "folds",
        "Folds to test on, one after the other; each replaces `partition.fold`, and none may be above `partition.folds`. Not given: the run's own.",
    ),
    key(
        "sweep",
        "centralised",
        "Whether each cell also trains its own model on the pooled training data of its own split, for as many passes: what federation is compared with.",
    ),
    key("sweep", "attacks", "Whether each cell is audited as `[audit]` says."),
    key(
        "sweep",
        "variant",
        "What is compared, written `[[sweep.variant]]`: a `name`; `set`, a list of lines as after `--set`; and `set_private`, a list that is set on top in cells with differential privacy, since noise grows with the model and with the rounds. `--set` on the command line wins over both. Not given: the run itself.",
    ),
    key(
        "sweep",
        "grid",
        "What is crossed, written `[sweep.grid]`: config keys with the values that each is given in turn, as in `\"model.kind\" = [\"dnn\", \"cnn\"]`. Crossed with variants, targets of ε, folds and seeds. `corpus`, `transport` and what the sweep sets itself cannot be in it; noise is calibrated in each cell, unless `epsilons` is empty and the grid names `privacy.noise_multiplier`.",
    ),
    key(
        "sweep",
        "exclude",
        "Cells to leave out, written `[[sweep.exclude]]`: config keys, `variant`, `epsilon` (0 or `\"none\"` without DP), `fold` or `seed`, each with a value or a list of which any is meant; a cell that has all of them is left out. A cell that cannot run and is not left out is an error before anything runs.",
    ),
    key(
        "sweep",
        "slurm",
        "What `--executor slurm` asks of the cluster for each cell, written `[sweep.slurm]`: `partition`, `time`, `memory`, `cpus`, and `args`, a list of further arguments of `sbatch`. It changes no result.",
    ),
    key(
        "audit",
        "attacks",
        "Of `membership` (loss threshold), `label-profile`, `sex-inference`, `inversion`, `secagg-distinguisher`, `membership-gradient-cosine`, `canary`, `canaries-in-training` (trains the whole federation again); each runs with its control. On \
         membership also `membership-population`, `membership-quantile` and `membership-trajectory`, which need the run alone; `membership-reference`, \
         `membership-lira-online`, `membership-lira-fixed-variance`, `membership-lira-offline`, `membership-rmia` and `membership-bavaria`, which train shadow \
         models; and `membership-speaker`, which trains shadow models that leave out whole speakers.",
    ),
    key("audit", "canaries", "Canaries of the white-box audit."),
    key(
        "audit",
        "tier",
        "How many shadow models: `smoke` (16 of a `dnn`, 8 of another model), `standard` (64, 16), `full` (256, 64).",
    ),
    key(
        "audit",
        "shadows",
        "So many shadow models, an even number of 8 or more; 0 for the tier's. Each trains as the run does, on a random half of the training and held-out \
         clips. They say most about a run whose `partition.holdout_fraction` is 0.5.",
    ),
];

/// The table of all keys and their defaults, in Markdown: what stands in `configs/README.md`.
pub fn key_table() -> String {
    let defaults = toml::Table::try_from(Config::default()).expect("the defaults are plain values");
    let mut out = String::new();
    for section in SECTIONS {
        out.push_str("\n### `[");
        out.push_str(section);
        out.push_str("]`\n\n| key | default | |\n| --- | --- | --- |\n");
        for key in keys_of(section) {
            let default = defaults.get(*section).and_then(|s| s.get(key.key));
            let default = default.map_or_else(|| "–".to_owned(), |v| format!("`{v}`"));
            out.push_str("| `");
            out.push_str(key.key);
            out.push_str("` | ");
            out.push_str(&default);
            out.push_str(" | ");
            out.push_str(key.says);
            out.push_str(" |\n");
        }
    }
    out
}

/// The nearest of `known` to what was written, if any is near.
pub(crate) fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters wrong is a slip; more is another word.
    let limit = (written.chars().count() / 3).max(2);
    known.map(|k| (edits(written, k), k)).filter(|(d, _)| *d <= limit).min().map(|(_, k)| k)
}

/// The section and key that an unknown key most likely means: a near name in its own section, or the same or a near name
/// in another.
pub(crate) fn nearest_key(section: &'static str, written: &str) -> Option<Box<str>> {
    if let Some(near) = nearest(written, keys_of(section).map(|k| k.key)) {
        return Some(format!("{section}.{near}").into());
    }
    let near = nearest(written, KEYS.iter().map(|k| k.key))?;
    KEYS.iter().find(|k| k.key == near).map(|k| format!("{}.{}", k.section, k.key).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_word_has_no_nearest_key() {
        assert_eq!(nearest_key("run", "zzzzzzzz"), None);
        assert_eq!(nearest_key("run", "round").as_deref(), Some("run.rounds"));
        assert_eq!(nearest_key("training", "clip_l2").as_deref(), Some("privacy.clip_l2"));
    }

    #[test]
    fn the_table_of_keys_is_exactly_what_deserialising_accepts() {
        for section in SECTIONS {
            let text = format!("[{section}]\nnot_a_key_of_any_section = 1\n");
            let error = toml::from_str::<Config>(&text).unwrap_err();
            // serde lists what it would accept: "unknown field `x`, expected one of `a`, `b`".
            let listed: Vec<&str> = error.message().split('`').skip(3).step_by(2).collect();
            let known: Vec<&str> = keys_of(section).map(|k| k.key).collect();
            assert_eq!(listed, known, "[{section}]: {}", error.message());
        }
    }
}
