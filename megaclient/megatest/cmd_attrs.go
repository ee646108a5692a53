package megatest

import (
	"encoding/json"
	"sort"
	"strings"
)

// cmdAttrGet is uga: one attribute of a user. Others see names and public keys only.
func cmdAttrGet(c *call) (any, code) {
	var a struct {
		U, UA string
		V     int
	}
	if failure := c.parse(&a); failure != ok {
		return nil, failure
	}
	u := c.s.findUser(a.U)
	if a.U == "" {
		u = c.viewer.user
	}
	if u == nil {
		return nil, eNoEnt
	}
	if u != c.viewer.user && !publicAttr(a.UA) {
		return nil, eAccess
	}
	v, found := u.attrs[a.UA]
	if !found {
		return nil, eNoEnt
	}
	if a.V == 0 {
		return v.value, ok
	}
	return map[string]string{"av": v.value, "v": v.version}, ok
}

// publicAttr tells whether everybody may read an attribute of that name.
func publicAttr(name string) bool {
	return strings.HasPrefix(name, "+") || name == "firstname" || name == "lastname"
}

// cmdAttrPutVersioned is upv: sets attributes whose known version must be the current one, else -8.
func cmdAttrPutVersioned(c *call) (any, code) {
	fields, failure := c.attrFields()
	if failure != ok {
		return nil, failure
	}
	values := map[string]string{}
	for name, raw := range fields {
		var pair []string
		if json.Unmarshal(raw, &pair) != nil || len(pair) < 1 || len(pair) > 2 {
			return nil, eArgs
		}
		old, exists := c.viewer.user.attrs[name]
		switch {
		case len(pair) == 1 && exists, len(pair) == 2 && (!exists || pair[1] != old.version):
			return nil, eExpired
		}
		values[name] = pair[0]
	}
	return c.setAttrs(values), ok
}

// cmdAttrPut is up2 and up: sets attributes whatever they were.
func cmdAttrPut(c *call) (any, code) {
	fields, failure := c.attrFields()
	if failure != ok {
		return nil, failure
	}
	values := map[string]string{}
	for name, raw := range fields {
		var v string
		if json.Unmarshal(raw, &v) != nil {
			return nil, eArgs
		}
		values[name] = v
	}
	return c.setAttrs(values), ok
}

// attrFields returns the fields of a command that name attributes.
func (c *call) attrFields() (map[string]json.RawMessage, code) {
	fields := map[string]json.RawMessage{}
	if failure := c.parse(&fields); failure != ok {
		return nil, failure
	}
	delete(fields, "a")
	delete(fields, "i")
	if len(fields) == 0 {
		return nil, eArgs
	}
	return fields, ok
}

// setAttrs stores values and tells the user's sessions.
func (c *call) setAttrs(values map[string]string) map[string]string {
	u := c.viewer.user
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	versions := make([]string, len(names))
	result := map[string]string{}
	for i, name := range names {
		versions[i] = randomID(8)
		result[name] = versions[i]
		u.attrs[name] = userAttr{values[name], versions[i]}
	}
	c.cause().send(u.feed, "ua", map[string]any{"u": u.handle, "ua": names, "v": versions})
	return result
}
