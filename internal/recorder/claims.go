package recorder

import (
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/record"
)

// claims are the steps that libzypp announced, with the stages that it claimed. A change in the rpm
// database takes its claim away; the claims that are left have no visible effect.
type claims struct {
	order []claimKey
	left  map[claimKey]record.Change
}

type claimKey struct {
	removal             bool
	name, version, arch string
}

// newClaims joins the steps of COMMITBEGIN with the stages of COMMITEND. Both describe the same
// list; a step in only one of them is a claim, too.
func newClaims(announced []record.Change, ended []Step) *claims {
	c := &claims{left: map[claimKey]record.Change{}}
	for _, a := range announced {
		c.add(a)
	}
	for _, s := range ended {
		a := announce(s, nil)
		if known, ok := c.left[keyOf(a)]; ok {
			a = known
		}
		a.Stage = s.Stage
		c.add(a)
	}
	return c
}

func keyOf(c record.Change) claimKey {
	return claimKey{c.Step == "-", c.Package, c.Version, c.Arch}
}

func (c *claims) add(claim record.Change) {
	k := keyOf(claim)
	if _, ok := c.left[k]; !ok {
		c.order = append(c.order, k)
	}
	c.left[k] = claim
}

// parallel says whether a package was installed next to other versions of the same name.
func (c *claims) parallel(p record.Package) bool {
	return c.left[claimKey{false, p.Name, p.Version, p.Arch}].Step == "M"
}

// take removes the claim for a difference and returns its step and stage; both are empty if libzypp
// did not announce it.
func (c *claims) take(d rpm.Change) (step, stage string) {
	p := d.After
	if p == nil {
		p = d.Before
	} else if d.Action == record.ActionUpgrade || d.Action == record.ActionDowngrade { // removes the old one
		delete(c.left, claimKey{true, d.Before.Name, d.Before.Version, d.Before.Arch})
	}
	k := claimKey{d.After == nil, p.Name, p.Version, p.Arch}
	claim := c.left[k]
	delete(c.left, k)
	return claim.Step, claim.Stage
}

// unshown returns the claims that nothing took, in libzypp's order.
func (c *claims) unshown() (claims []record.Change) {
	for _, k := range c.order {
		if claim, ok := c.left[k]; ok {
			claims = append(claims, claim)
		}
	}
	return claims
}
