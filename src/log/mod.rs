//! The log: the truth of which everything else is a view (design §5).
//!
//! ```text
//! segment:  header │ frame │ frame │ … │ frame │ directory │ locators │ digests │ trailer
//!                    └ one commit ┘              └────── once it is sealed ──────────┘
//! frame:    header │ metadata: records │ unit │ unit │ … │ zeros up to a multiple of 8
//! unit:     header │ one content, compressed; or a group: header │ members │ contents of one entity in one zstd frame
//! ```
//!
//! | file | what |
//! |---|---|
//! | `unit` | a stored content, or a group of them |
//! | `group` | the members of a group |
//! | `record`, `record_decode` | a revision or an annotation in a frame's metadata |
//! | `unit_draft` | contents on their way into a unit |
//! | `unit_read` | reading a content through the cache |
//! | `frame_head`, `frame`, `frame_groups` | how a frame proves itself; making frames; their groups |
//! | `segment` | the header of a segment |
//! | `scan` | reading frames from a file |
//! | `active` | an unsealed segment, shared by the writer and readers |
//! | `tail`, `seal`, `sealed` | what stands behind the frames of a sealed segment; making it; reading it |
//! | `dissect` | going through a segment without believing anything, for tools |
//! | `recovery` | where the log ends, and whether that is a torn tail or damage |
//!
//! Which thread writes when, and what is acknowledged when, is the commit pipeline's business (`store`).

mod active;
mod cache;
mod change;
mod dissect;
mod fault;
mod frame;
mod frame_groups;
mod frame_head;
mod group;
mod locator;
mod position;
mod record;
mod record_decode;
mod recovery;
mod scan;
mod seal;
mod sealed;
mod segment;
mod tail;
mod unit;
mod unit_draft;
mod unit_read;

pub use active::ActiveSegment;
pub use cache::BlockCache;
pub(crate) use change::{BlockChanges, ChangeBlocks};
pub use change::{Change, ChangeIter, LoggedChange, ValueFile, Verified, VerifyDepth};
pub use dissect::{SegmentItem, SegmentSurvey, describe_segment, dissect_segment};
pub use fault::Fault;
pub(crate) use fault::FaultContext;
pub use frame::{FrameDraft, FramePlace};
pub use frame_head::{FRAME_GRID, FRAME_HEADER_LEN, FrameHead, FrameKind};
pub use group::Member;
pub(crate) use group::{TableShape, member_of, put_members, read_members, start_of};
pub use locator::{Locator, StoredContent, StoredIn};
pub use position::Position;
pub use record::{MainContent, Numbers, RecordDraft};
pub use record_decode::{DecodedRecord, decode_records};
pub use recovery::{
    Appendable, Cut, Leftover, LeftoverKind, LogEnd, LogSurvey, Recovered, RecoveryInput, RecoveryMode,
    recover, survey,
};
pub use scan::{Found, Frame, FrameReader};
pub use seal::{SealRequest, seal};
pub use sealed::SealedSegment;
pub use segment::{SEGMENT_HEADER_LEN, SEGMENT_VERSION, SegmentHeader};
pub(crate) use tail::{
    BLOCK_HEADER_LEN, DirectoryBlock, Lengths, PackedBlock, Sequences, checked_block, decode_block,
    directory_block_len, seal_block,
};
pub use tail::{TRAILER_LEN, Trailer};
pub use unit::{UNIT_HEADER_LEN, Unit, UnitHeader, UnitKind};
pub(crate) use unit::{affected, no_such_content};
pub use unit_draft::{GroupDraft, UnitDraft, group_units};

#[cfg(test)]
pub(crate) mod tests;
