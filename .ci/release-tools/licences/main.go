// Command licences reads a bill of materials (CycloneDX JSON) from standard input and prints each module with its
// licence, as Markdown. It fails where a module has none that is known, or one that asks more than to be named.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// free are the licences that a dependency may have. MPL-2.0 asks that changed files of the library itself be
// published: none is changed here.
var free = map[string]bool{
	"MIT": true, "BSD-2-Clause": true, "BSD-3-Clause": true, "BSD-Source-Code": true, "Apache-2.0": true, "ISC": true,
	"MPL-2.0": true, "CC0-1.0": true,
}

type licences []struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type bill struct {
	Components []struct {
		Name     string   `json:"name"`
		Version  string   `json:"version"`
		Licenses licences `json:"licenses"`
		Evidence struct {
			Licenses licences `json:"licenses"`
		} `json:"evidence"`
	} `json:"components"`
}

func main() {
	var b bill
	if err := json.NewDecoder(os.Stdin).Decode(&b); err != nil {
		fmt.Fprintln(os.Stderr, "licences: reading the bill of materials:", err)
		os.Exit(1)
	}
	refused := len(b.Components) == 0
	fmt.Println("| module | version | licence |\n|---|---|---|")
	for _, c := range b.Components {
		id := "none that is known"
		if found := append(c.Licenses, c.Evidence.Licenses...); len(found) > 0 {
			id = found[0].License.ID
		}
		fmt.Printf("| %s | %s | %s |\n", c.Name, c.Version, id)
		if !free[id] {
			fmt.Fprintf(os.Stderr, "licences: %s: %s\n", c.Name, id)
			refused = true
		}
	}
	if refused {
		os.Exit(1)
	}
}
