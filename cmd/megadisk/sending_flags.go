package main

import (
	"strings"

	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/megaclient"
	"megadisk/writeback"
)

// sendingFlags are the options of mount that say how changes go to the cloud. They are of the process that holds the
// mounts: those of an account's first mount.
type sendingFlags struct {
	delete    string
	fsync     string
	maxUpload string
	brake     string
	local     string
	trash     string
}

func (s *sendingFlags) add(f *pflag.FlagSet) {
	f.StringVar(&s.delete, "delete", "trash", "where removed files go: \"trash\", the Rubbish Bin, or \"permanent\", deleted for good from there")
	f.StringVar(&s.trash, "trash", "keep", "what emptying a desktop's trash does: \"keep\", it leaves what was trashed in the Rubbish Bin, or \"purge\", deletes that for good")
	f.StringVar(&s.fsync, "fsync", "local", "when fsync returns: \"local\", the bytes are safe on this disk, or \"cloud\", they are in the cloud")
	f.StringVar(&s.brake, "brake", "on", "\"on\": deletions of more than half of all files within a minute wait for megadisk approve; or \"off\"")
	f.StringVar(&s.local, "local-names", strings.Join(writeback.DefaultLocalNames, ":"), "patterns of names, with : between them: files that programs make under such a name stay on this machine")
	f.StringVar(&s.maxUpload, "max-upload", "", "most bytes a second to upload, as 500K or 2M (default: no limit)")
}

func (s *sendingFlags) check() error {
	if s.delete != "trash" && s.delete != "permanent" {
		return usage("--delete is \"trash\" or \"permanent\", not %q", s.delete)
	}
	if s.trash != "keep" && s.trash != "purge" {
		return usage("--trash is \"keep\" or \"purge\", not %q", s.trash)
	}
	if s.fsync != "local" && s.fsync != "cloud" {
		return usage("--fsync is \"local\" or \"cloud\", not %q", s.fsync)
	}
	if s.brake != "on" && s.brake != "off" {
		return usage("--brake is \"on\" or \"off\", not %q", s.brake)
	}
	if err := checkPatterns("local-names", s.local); err != nil {
		return err
	}
	_, err := rate("max-upload", s.maxUpload)
	return err
}

// client puts the options into those of the protocol client.
func (s *sendingFlags) client(cfg megaclient.Config) megaclient.Config {
	cfg.MaxUpload, _ = rate("max-upload", s.maxUpload) // checked before
	return cfg
}

// serve puts them into those of the process.
func (s *sendingFlags) serve(o serve.Options) serve.Options {
	o.PermanentDelete, o.FsyncCloud = s.delete == "permanent", s.fsync == "cloud"
	o.PurgeTrash = s.trash == "purge"
	o.NoBrake = s.brake == "off"
	o.LocalNames = patterns(s.local)
	return o
}
