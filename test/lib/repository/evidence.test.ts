import {expect} from 'chai'
import {evidenceName, isAtLeast, isEvidence, levelOf, parseEvidence, serializeEvidence, type Evidence} from '../../../src/lib/repository/evidence.ts'

const at = (minute: number) => new Date(Date.UTC(2026, 10, 22, 3, minute, 1, 5)).toISOString()
const seen = (minute: number, kind: Evidence['kind'], ok: boolean, level = 'full'): Evidence => ({kind, at: at(minute), level, ok, by: 'ann@host'})

describe('evidence', () => {
  it('has a name that sorts by time and is known again', () => {
    const name = evidenceName(seen(15, 'verified', true))
    expect(name).to.equal('evidence/20261122T031501005Z-verified.json')
    expect(isEvidence(name)).to.equal(true)
    for (const other of ['evidence/x.json', 'manifest.json', 'evidence/a/b-verified.json', 'evidence/20261122T031501005Z-verified.json.tmp']) expect(isEvidence(other)).to.equal(false)
  })

  it('comes back as it was written', () => {
    const evidence = {...seen(1, 'drilled', true), details: {rto: 61}}
    expect(parseEvidence(serializeEvidence(evidence), 'x')).to.deep.equal(evidence)
    expect(() => parseEvidence('{"kind":"verified"}', 'the/key')).to.throw('the/key is not evidence')
  })

  const good = {status: 'good'} as const
  const cases: [string, Parameters<typeof levelOf>[0], Evidence[], string][] = [
    ['is stored without evidence', good, [], 'stored'],
    ['is suspect when the backup says so, whatever follows', {status: 'suspect'}, [seen(1, 'drilled', true)], 'suspect'],
    ['is stored after a quick check, which reads no bytes', good, [seen(1, 'verified', true, 'quick')], 'stored'],
    ['is verified after a full one', good, [seen(1, 'verified', true)], 'verified'],
    ['stays drilled when it is verified later', good, [seen(2, 'verified', true), seen(1, 'drilled', true)], 'drilled'],
    ['is suspect after damage was found', good, [seen(1, 'drilled', true), seen(2, 'verified', false)], 'suspect'],
    ['is suspect after damage, whatever the order of the files', good, [seen(2, 'verified', false), seen(1, 'verified', true)], 'suspect'],
    ['is not healed by a look that went less far', good, [seen(1, 'verified', false), seen(2, 'verified', true, 'quick')], 'suspect'],
    ['is good again when a look that went as far found nothing', good, [seen(1, 'verified', false), seen(2, 'verified', true)], 'verified'],
    ['is suspect after a failed drill, even if every byte is right', good, [seen(1, 'drilled', false), seen(2, 'verified', true)], 'suspect'],
  ]
  for (const [what, manifest, evidence, expected] of cases) {
    it(`a backup ${what}`, () => {
      expect(levelOf(manifest, evidence)).to.equal(expected)
    })
  }

  it('levels are in order', () => {
    expect(isAtLeast('drilled', 'verified')).to.equal(true)
    expect(isAtLeast('stored', 'verified')).to.equal(false)
    expect(isAtLeast('suspect', 'stored')).to.equal(false)
  })
})
