package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errMute = errors.New("not here")

// mute refuses all that fake has no answer for.
type mute struct{}

func (mute) Versions(context.Context, string) ([]FileVersion, error) { return nil, errMute }
func (mute) RestoreVersion(context.Context, RestoreRequest) (FileVersion, error) {
	return FileVersion{}, errMute
}
func (mute) Bin(context.Context) ([]BinEntry, error)                             { return nil, errMute }
func (mute) RestoreFromBin(context.Context, BinRestore) (string, error)          { return "", errMute }
func (mute) EmptyBin(context.Context, time.Duration) (int, error)                { return 0, errMute }
func (mute) Debris(context.Context) ([]DebrisItem, error)                        { return nil, errMute }
func (mute) RestoreDebris(context.Context, DebrisRestore) (string, error)        { return "", errMute }
func (mute) ClearDebris(context.Context, []string) (int, error)                  { return 0, errMute }
func (mute) Link(context.Context, LinkRequest) (string, error)                   { return "", errMute }
func (mute) Log(context.Context, LogRequest) ([]Happening, error)                { return nil, errMute }
func (mute) Get(context.Context, Carry, func(Carried)) (c Carried, err error)    { return c, errMute }
func (mute) Put(context.Context, Carry, func(Carried)) (c Carried, err error)    { return c, errMute }
func (mute) Import(context.Context, Carry, func(Carried)) (c Carried, err error) { return c, errMute }
func (mute) Find(context.Context, FindRequest) (p FindPage, err error)           { return p, errMute }
func (mute) Folders(context.Context, string) ([]string, error)                   { return nil, errMute }
func (mute) Free(context.Context, string) (int64, error)                         { return 0, errMute }

// FuzzRequest: whatever comes over the socket is answered in JSON, with a status that is one of ours.
func FuzzRequest(f *testing.F) {
	for path, body := range map[string]string{
		"/mount": `{"Source":"/Photos","Mountpoint":"/mnt","UID":1000,"Flags":["noexec"]}`, "/unmount": `{"Wait":true}`,
		"/flush": `"/mnt/a"`, "/verify": `"/mnt"`, "/export-pending": `"/tmp/x"`, "/bin/empty": `-1`, "/debris/clear": `["a"]`,
		"/log": `{"After":18446744073709551615}`, "/link": `{"Path":"/mnt/a","Expires":"9999-12-31T23:59:59Z"}`, "/status": `{`,
		"/get": `{"From":"/mnt/a","To":"/tmp/a"}`, "/../status": `null`, "/none": ``,
	} {
		f.Add(path, []byte(body))
	}
	h := handler(&fake{History: mute{}, DebrisKeeper: mute{}, Linker: mute{}, Chronicler: mute{}, Carrier: mute{}},
		func(err error) *Error { return &Error{Message: err.Error(), Exit: 1} })
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.URL.Path = path
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Header().Get("Content-Type") != "application/json" && w.Code != http.StatusOK {
			require.Contains(t, []int{http.StatusNotFound, http.StatusMovedPermanently, http.StatusTemporaryRedirect}, w.Code)
			return
		}
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusConflict}, w.Code)
		for lines := json.NewDecoder(w.Body); lines.More(); {
			var line json.RawMessage
			require.NoError(t, lines.Decode(&line))
		}
	})
}
