package megatest

// Who may call a command.
type accessClass int

const (
	sessionOnly accessClass = iota
	linkToo                 // also over a folder link
	anybody
)

type handlerEntry struct {
	run    handler
	access accessClass
}

// handlers is the table of all commands that the server knows. What isn't in it is answered with -2.
func handlers() map[string]handlerEntry { return commandTable }

var commandTable = map[string]handlerEntry{
	// accounts and sessions
	"us0":           {cmdPrelogin, anybody},
	"us":            {cmdLogin, anybody},
	"ug":            {cmdUserGet, sessionOnly},
	"uq":            {cmdQuota, sessionOnly},
	"sml":           {cmdLogout, sessionOnly},
	"usr":           {cmdEndSessions, sessionOnly},
	"usl":           {cmdListSessions, sessionOnly},
	"whyamiblocked": {cmdWhyBlocked, sessionOnly},
	"uga":           {cmdAttrGet, anybody},
	"upv":           {cmdAttrPutVersioned, sessionOnly},
	"up2":           {cmdAttrPut, sessionOnly},
	"up":            {cmdAttrPut, sessionOnly},
	"uk":            {cmdPublicKey, sessionOnly},
	"uge":           {cmdUserEmail, sessionOnly},
	// the tree
	"f":  {cmdFetch, linkToo},
	"p":  {cmdPut, linkToo},
	"m":  {cmdMove, sessionOnly},
	"a":  {cmdSetAttr, sessionOnly},
	"d":  {cmdDelete, sessionOnly},
	"dv": {cmdDeleteVersions, sessionOnly},
	// sharing
	"l":  {cmdLink, sessionOnly},
	"s2": {cmdShare, sessionOnly},
	"k":  {cmdKeys, sessionOnly},
	"pk": {cmdPendingKeys, sessionOnly},
	// content
	"u":   {cmdUploadURL, linkToo},
	"g":   {cmdDownloadURL, anybody},
	"ufa": {cmdFileAttrURL, linkToo},
	"pfa": {cmdPutFileAttr, sessionOnly},
	// telemetry
	"log": {func(*call) (any, code) { return nil, ok }, anybody},
}
