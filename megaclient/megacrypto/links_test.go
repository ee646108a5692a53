package megacrypto_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	mc "megadisk/megaclient/megacrypto"
)

func TestLinkVectors(t *testing.T) {
	type sdk struct {
		Err    int
		Handle string `json:"ph"`
		Key    string
	}
	type vector struct {
		URL    string
		JS     struct{ Sub string } `json:"megajs"`
		File   sdk                  `json:"sdk_parse_as_file"`
		Folder sdk                  `json:"sdk_parse_as_folder"`
	}
	for _, v := range loadVectors[vector](t, "links") {
		l, err := mc.ParseLink(v.URL)
		want, kind := v.File, mc.FileLink
		if v.Folder.Err == 0 || v.Folder.Err == -13 {
			want, kind = v.Folder, mc.FolderLink
		}
		switch want.Err {
		case 0:
			require.NoError(t, err, v.URL)
			require.Equal(t, kind, l.Kind, v.URL)
			require.Equal(t, want.Handle, l.Handle, v.URL)
			require.Equal(t, unhex(t, want.Key), l.Key, v.URL)
			if v.JS.Sub != "" {
				require.Equal(t, v.JS.Sub, l.Sub, v.URL)
			}
		case -13:
			require.ErrorIs(t, err, mc.ErrLinkKey, v.URL)
		default:
			require.ErrorIs(t, err, mc.ErrLink, v.URL)
		}
	}
}

const (
	testFileKey   = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	testFolderKey = "AAECAwQFBgcICQoLDA0ODw"
)

func TestLinkForms(t *testing.T) {
	for _, s := range []string{
		"https://mega.nz/file/aBcDeFgH#" + testFileKey,
		"  https://MEGA.nz/file/aBcDeFgH#" + testFileKey + "\n",
		"http://www.mega.co.nz/#!aBcDeFgH!" + testFileKey,
		"mega.nz/file/aBcDeFgH#" + testFileKey,
		"https://mega.app/file/aBcDeFgH?utm=1#" + testFileKey,
		"https://mega.nz/#!aBcDeFgH?x=1!" + testFileKey,
		"https://mega.nz#!aBcDeFgH!" + testFileKey,
	} {
		l, err := mc.ParseLink(s)
		require.NoError(t, err, s)
		require.Equal(t, "https://mega.nz/file/aBcDeFgH#"+testFileKey, l.String())
	}
	for _, tail := range []string{"/folder/aBcDeFgH#%/folder/zYxWvUtS", "/folder/aBcDeFgH#%/file/zYxWvUtS", "/#F!aBcDeFgH!%!zYxWvUtS", "/#F!aBcDeFgH!%?zYxWvUtS"} {
		l, err := mc.ParseLink("https://mega.nz" + strings.Replace(tail, "%", testFolderKey, 1))
		require.NoError(t, err, tail)
		require.Equal(t, "zYxWvUtS", l.Sub, tail)
		require.Equal(t, mc.FolderLink, l.Kind)
	}
}

func TestLinkRefuses(t *testing.T) {
	for s, want := range map[string]error{
		"":     mc.ErrLink,
		"mega": mc.ErrLink,
		"https://example.org/file/aBcDeFgH#" + testFileKey:                 mc.ErrLink,
		"https://notmega.nz/file/aBcDeFgH#" + testFileKey:                  mc.ErrLink,
		"https://mega.nz.evil.org/file/aBcDeFgH#" + testFileKey:            mc.ErrLink,
		"ftp://mega.nz/file/aBcDeFgH#" + testFileKey:                       mc.ErrLink,
		"https://mega.nz/file/aBcDeFgHi#" + testFileKey:                    mc.ErrLink,
		"https://mega.nz/file/aBc.eFgH#" + testFileKey:                     mc.ErrLink,
		"https://mega.nz/collection/aBcDeFgH#" + testFolderKey:             mc.ErrLink,
		"https://mega.nz/#P!aBcDeFgH":                                      mc.ErrLink,
		"https://mega.nz/file/aBcDeFgH":                                    mc.ErrLinkKey,
		"https://mega.nz/file/aBcDeFgH#":                                   mc.ErrLinkKey,
		"https://mega.nz/file/aBcDeFgH#" + testFolderKey:                   mc.ErrLinkKey,
		"https://mega.nz/folder/aBcDeFgH#" + testFileKey:                   mc.ErrLinkKey,
		"https://mega.nz/folder/aBcDeFgH#" + testFolderKey[:21]:            mc.ErrLinkKey,
		"https://mega.nz/folder/aBcDeFgH#" + testFolderKey + "/file/short": mc.ErrLink,
	} {
		_, err := mc.ParseLink(s)
		require.ErrorIs(t, err, want, s)
		require.NotContains(t, err.Error(), testFolderKey[:21], "errors must not show keys")
	}
}

func FuzzLink(f *testing.F) {
	f.Add("https://mega.nz/file/aBcDeFgH#" + testFileKey)
	f.Add("https://mega.nz/#F!aBcDeFgH!" + testFolderKey + "!zYxWvUtS")
	f.Add("https://mega.nz/folder/aBcDeFgH#" + testFolderKey + "/folder/zYxWvUtS")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := mc.ParseLink(s)
		if err != nil {
			require.Zero(t, l)
			return
		}
		require.Len(t, l.Handle, 8)
		again, err := mc.ParseLink(l.String())
		require.NoError(t, err, l)
		require.Equal(t, l, again)
	})
}
