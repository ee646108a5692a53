package megaclient

import (
	"net/http"
	"time"

	"megadisk/megaclient/megacrypto"

	"github.com/sirupsen/logrus"
)

// DefaultAPIURL is the address of MEGA's own command server (PROTOCOL 1.1).
const DefaultAPIURL = "https://g.api.mega.co.nz"

// Handle names a node (or, where a text says so, a public link): 8 characters of base64 that only
// the server can make (PROTOCOL 0). A file gets a new handle with every new version.
type Handle string

// UserHandle names an account: 11 characters of base64 (PROTOCOL 0).
type UserHandle string

// NodeType says what a node is (PROTOCOL 3.2, key t).
type NodeType int

// The types of node. An account has exactly one RootNode, VaultNode and RubbishNode.
const (
	FileNode    NodeType = 0
	FolderNode  NodeType = 1
	RootNode    NodeType = 2
	VaultNode   NodeType = 3
	RubbishNode NodeType = 4
)

// IsFolder says whether other nodes can be put into a node of this type.
func (t NodeType) IsFolder() bool { return t >= FolderNode && t <= RubbishNode }

// Levels of access to a node of a share (PROTOCOL 3.2, key r). Own nodes have AccessOwner.
const (
	AccessRead  = 0 // read only
	AccessWrite = 1 // may add, but neither rename nor delete
	AccessFull  = 2 // may change everything
	AccessOwner = 3
)

// Config says how to talk to the servers. The zero value talks to MEGA.
type Config struct {
	// APIURL is the base address of the command server; "" means DefaultAPIURL. Only when it is
	// plain http itself (a test server) is anything else spoken to over plain http.
	APIURL string
	// UserAgent is sent with every request; "" means "megadisk".
	UserAgent string
	// Pins are the keys of which the command server must have one; none: any key with a certificate that holds will do.
	Pins []Pin
	// MaxConnections limits the connections that carry content, for each direction; 0 means 16, of which
	// half are used until it shows that more help.
	MaxConnections int
	// Observe is told of each command that was answered or given up: its name and how it ended. nil: nobody is.
	Observe func(command string, err error)
	// MaxUpload limits what is uploaded, in bytes a second, all connections together; 0: no limit.
	MaxUpload int64
	// MaxDownload limits what is downloaded, in bytes a second, all connections together; 0: no limit.
	MaxDownload int64
	// Timeout is how long a transfer may be without any progress before it fails; 0 means two minutes.
	Timeout time.Duration
	// Silence is after how long without any sign of the other side a connection counts as broken; 0 means 25 s.
	Silence time.Duration
	// Log receives what happens; no names, keys or content. nil discards it.
	Log logrus.FieldLogger
	// HTTP replaces the client's own http.Client, for tests. Redirects are refused all the same.
	HTTP *http.Client
}

// Session is what Resume needs to go on without the password. It holds the account's master key
// and must be kept as safe as the account itself.
type Session struct {
	SID        string // session id, base64
	MasterKey  megacrypto.Key
	User       UserHandle
	Email      string
	PrivateKey string // RSA key as the server keeps it: encrypted, base64
}

// Account describes the account's owner (PROTOCOL 2.7, ug).
type Account struct {
	User  UserHandle
	Email string
	Name  string
}

// Quota says how full the account is, in bytes (PROTOCOL 3.9).
type Quota struct {
	Total, Used int64 // storage; versions and the rubbish bin count as used
	Level       int   // 0 green, 1 almost full, 2 full, 4 paywall (account read-only)

	TransferTotal, TransferUsed int64 // download volume of the current period; 0: no such limit
}

// User is somebody the account knows (PROTOCOL 3.1, key u).
type User struct {
	Handle  UserHandle
	Email   string
	Self    bool // it is the account itself
	Contact bool // the two have agreed to know each other: folders can be shared
	Former  bool // they no longer do
}

// Share is one outgoing share of a folder (PROTOCOL 3.1, keys s and ps).
type Share struct {
	Node    Handle
	User    UserHandle // "" for a public folder link
	Link    bool       // it is a public folder link (the user EXP)
	Access  int
	Pending bool // not accepted yet
}

// FetchResult is what the full fetch says besides the nodes.
type FetchResult struct {
	SN        string            // event sequence number that the nodes belong to; Listen goes on from it
	Links     map[Handle]Handle // public handle of each exported node
	Users     []User
	OutShares []Share
	Nodes     int // nodes delivered
	Locked    int // of them, those whose key or attributes could not be decrypted (yet): see Unlock
	Skipped   int // entries without a usable handle, not delivered
}

// KeyedNode is a node with its plain, packed key (32 bytes for a file, 16 for a folder).
type KeyedNode struct {
	Handle Handle
	Key    []byte
}
