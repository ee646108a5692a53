// Package megatest is a MEGA server in a Go package, as net/http/httptest is an HTTP server: accounts,
// trees, storage, shares, links, action packets between sessions, and faults on request. It exists so
// that a MEGA client can be tested without MEGA, and it is believed by clients that others wrote: megajs
// and rclone work with it unmodified.
//
// # The idea
//
// There are two halves, and they share nothing secret.
//
// The server is blind, as MEGA's is. It keeps attributes and keys as the opaque strings that clients sent,
// and knows handles, types, sizes, owners, shares and times. It checks what can be checked that way:
// that a parent exists and is a folder (-9, -2), that a move makes no circle (-10), who may do what (-11),
// quotas (-17, -24), that upload pieces begin and end on chunk borders (-7), fit their checksum (-14), and
// that every byte has come before there is a token. What it accepts becomes packets in the log of
// everybody who sees the node, each with the key that this reader can use.
//
// Account is the other half: a trusted client in the same process, which knows the master key. A test
// uses it as "somebody else with this account": PutFile, Rename, Move, Share act through the very
// commands that the network uses, past the faults and the statistics, and Tree and ReadFile show,
// decrypted and verified, what another MEGA client would see.
//
// # Use
//
//	s := megatest.NewServer()
//	defer s.Close()
//	a := s.AddAccount("user@example.com", "password")
//	a.PutFile(a.Root(), "hello.txt", []byte("hello"), time.Now())
//	// … log in at s.URL() with the client under test, change things, then compare a.Tree()
//
// Tests wait with Await, never by sleeping: it returns when a condition on Stats holds. Hold stops a command
// on its way in, so that a test can arrange what happens meanwhile.
//
// # Faults
//
//	FailBatch, FailCommand     an error number for whole requests, or for single commands
//	FailPoll                   an error number for the event channel (-6: too old, -15, -3, …)
//	FailHTTP                   an HTTP status from any part: 500, 503, 429, 509, …
//	DemandHashcash             402 until a proof of work comes
//	DropBefore, DropAfter      the connection breaks and nothing was done; or it was done, and nobody knows
//	ForgetRequestIDs,          a request sent again is done again; see also SetRequestIDLifetime
//	SetRequestIDLifetime
//	Hold                       a command waits until it is released
//	PutAside                   a batch gets no answer, and is executed when nobody expects it
//	SetLatency, SetBandwidth   a slow network: delay of answers, bytes per second per connection and in total
//	CorruptDownloads           a bit of the content is wrong
//	CutDownloads,              content ends early; or hangs
//	StallDownloads
//	Part(i).Fail, Cut, Stall,  one of the six URLs of a spread file (CloudRAID; see RAID)
//	Corrupt, Answer
//	FailUpload                 an error number for a piece: -4 (start over), -5, -6, -8, -14, -3
//	LoseUploadAnswers          the piece has come, the connection breaks
//	LoseUploads                pieces and tokens are forgotten: 404, and -9 from p
//	ExpireURLs                 uploads get -8, downloads 403
//	UseUpTransferQuota         509 with X-MEGA-Time-Left, g with -17
//	EndSession, EndSessions    -15 for everything, waiting requests too
//	ForgetPackets              the event log is gone: -6 for whoever missed something
//	HoldTree                   the first nodes of the answer to f come, the others wait
//	FreezeTrees                f with ca:1 is answered from an old tree, with its old sequence number
//	SlicePackets, Redeliver    answers of the event channel in slices (ir:1); packets twice
//
// Others belong to an account (Block, SetQuota, EndSessions), to a file (PutSpec: undecryptable keys or
// attributes, wrong MACs, RSA keys), or to the server's options: what becomes of a superseded ov
// (WithSuperseded), of nodes put into a deleted folder (WithOrphansToBin), of a token used twice
// (WithSingleUseTokens).
//
// # Limits
//
// Only the old dialect is spoken: no v=3 on the URL, no wsc (a URL with v=3 is answered in
// the old style). Contacts are made by sharing, and there are no chats, albums or payments. Where MEGA's
// behaviour can't be seen in any client, the harder one was chosen.
//
// # Files
//
// server, answer, batch, replay: a request's way in and out. handlers: the table of commands; cmd_*: what
// they do, under the server's one lock, at a cost that doesn't grow with the tree (f, and the subtrees in
// move packets, excepted). node, tally, share, user, viewer: the data and who sees it. feed, packets, nodejson, sc: the event
// channel. upload, download, raid, blob, forgetful, fileattr: storage. faults, hold, puzzle, shape, stats: misbehaviour and
// measurement. account*, seed, synthetic: the trusted half.
package megatest
