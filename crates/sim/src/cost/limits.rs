//! The physical limit of an attempt: what keystream, memory and key agreement alone cost.
use super::{Cost, Primitives};

/// Least seconds that parts of an attempt can take with the primitives of this machine, on one thread. Networks are not in it.
///
/// With p peers that a client masks with (n − 1 on the complete graph), u inputs, l masks that dropouts left in them (e·u of e dropouts
/// on the complete graph), and vectors of 8W bytes (Bonawitz et al. 2017, §7, count the same work):
///
/// ```text
/// masking            (p+1)·8W/B_prg, or 8W/B_add if that is more
/// client, mask phase masking + p·T_dh + 8W/B_hash   (what it sends, it signs)
/// client, vectors    masking + 2·p·T_dh             (a mask and an envelope a peer; nothing signed, nothing checked)
/// server, no masks   u·8W/B_add
/// server, unmasking  (u + l)·8W/B_prg + l·T_dh
/// server, inputs     u·(8W/B_add + 8W/B_hash + T_verify)
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// The masks of one client.
    pub masking: f64,
    /// The mask phase of one client.
    pub client_mask_phase: f64,
    /// All phases of one client, without what authenticates.
    pub client_vectors: f64,
    /// The coordinator takes, authenticates and adds all inputs.
    pub server_inputs: f64,
    /// The coordinator takes all masks off.
    pub server_unmasking: f64,
    /// The coordinator's sum and unmasking by the formula that leaves authentication out:
    /// max(u·8W/B_add, (u + l)·8W/B_prg) + l·T_dh.
    pub server_vectors: f64,
}

/// A measured time, its limit, and the one over the other.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Compared {
    /// What.
    pub name: &'static str,
    /// Seconds.
    pub measured: f64,
    /// Seconds.
    pub limit: f64,
}

impl Compared {
    /// measured / limit.
    pub fn gap(&self) -> f64 {
        self.measured / self.limit
    }
}

impl Cost {
    /// The limits of this attempt on this machine.
    #[expect(clippy::cast_precision_loss, reason = "lengths far below 2^53")]
    pub fn limits(&self) -> Limits {
        let Primitives { keystream, hash, add, agreement, verification } = self.primitives;
        let bytes = self.spec.payload_bytes() as f64;
        let peers = f64::from(self.peers);
        let left = self.left as f64;
        let inputs = f64::from(self.spec.clients) - f64::from(self.spec.dropouts);
        let masked = self.spec.suite.prg().is_some();
        let agreements = |count: f64| if masked { count * agreement } else { 0.0 };
        let masking = ((peers + 1.0) * bytes / keystream).max(bytes / add);
        let unmasking_streams = (inputs + left) * bytes / keystream;
        Limits {
            masking,
            client_mask_phase: masking + agreements(peers) + bytes / hash,
            client_vectors: masking + agreements(2.0 * peers),
            server_inputs: inputs * (bytes / add + bytes / hash + verification),
            server_unmasking: unmasking_streams + agreements(left),
            server_vectors: (inputs * bytes / add).max(unmasking_streams) + agreements(left),
        }
    }

    /// What was measured beside its limit. Where there are no masks, there is no mask to compare.
    pub fn compared(&self) -> Vec<Compared> {
        let limits = self.limits();
        let client = |name| self.phase(name).map_or(0.0, |p| p.client_seconds);
        let server = |name| self.phase(name).map_or(0.0, |p| p.server_seconds);
        let row = |name, measured, limit| Compared { name, measured, limit };
        let mut rows = vec![
            row("client: mask phase", client("mask"), limits.client_mask_phase),
            row("server: inputs", server("mask"), limits.server_inputs),
        ];
        if self.spec.suite.prg().is_some() {
            rows.insert(0, row("client: masks alone", self.masking_alone, limits.masking));
            let all = "client: all phases, limit without authentication";
            rows.insert(2, row(all, self.client_seconds(), limits.client_vectors));
            rows.push(row("server: unmasking", server("unmask"), limits.server_unmasking));
            rows.push(row(
                "server: inputs and unmasking",
                server("mask") + server("unmask"),
                limits.server_inputs + limits.server_unmasking,
            ));
            rows.push(row(
                "server: the same, limit without authentication",
                server("mask") + server("unmask"),
                limits.server_vectors,
            ));
        }
        rows
    }
}
