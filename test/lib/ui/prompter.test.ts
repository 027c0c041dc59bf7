import {expect} from 'chai'
import {ExitCode, StopError} from '../../../src/lib/errors.ts'
import {gatekeeper, type GateAnswers} from '../../../src/lib/ui/prompter.ts'
import {drErrorOf} from '../../support/rejection.ts'

const gate = {question: () => 'Drop crm?', mustType: () => 'crm db'}
const {signal} = new AbortController()
const keeper = (more: Partial<GateAnswers>) => gatekeeper({confirm: undefined, yes: false, protected: true, interactive: false, ...more})
const checked = async (more: Partial<GateAnswers>) => { keeper(more).check(gate, {}) }

describe('gatekeeper', () => {
  it('takes --confirm with the right name', async () => {
    await checked({confirm: 'crm db'})
    expect(await keeper({confirm: 'crm db'}).pass(gate, {}, signal)).to.equal('crm db')
  })

  it('refuses --confirm with another name, on a terminal too', async () => {
    for (const interactive of [false, true]) expect(await drErrorOf(checked({confirm: 'other', interactive}))).to.include({code: 'confirmation.mismatch', exitCode: ExitCode.usage})
  })

  it('takes --yes where nothing is protected', async () => {
    await checked({yes: true, protected: false})
    expect(await keeper({yes: true, protected: false}).pass(gate, {}, signal)).to.equal('--yes')
  })

  it('does not take --yes where the environment is protected', async () => {
    const error = await drErrorOf(checked({yes: true}))
    expect(error).to.include({code: 'confirmation.missing', exitCode: ExitCode.usage})
    expect(error.message).to.include('--yes is not enough')
    expect(error.hints).to.deep.equal(["Pass --confirm 'crm db'"])
  })

  it('names the flags to pass when it cannot ask', async () => {
    expect((await drErrorOf(checked({}))).hints).to.deep.equal(["Pass --confirm 'crm db'"])
    expect((await drErrorOf(checked({protected: false}))).hints).to.deep.equal(["Pass --confirm 'crm db', or --yes"])
  })

  it('will ask when it can', async () => {
    await checked({interactive: true})
    await checked({interactive: true, yes: true})
  })
})

describe('gatekeeper, of a gate with more to it', () => {
  it('shows the details with a refusal, and before an answer that a flag gave', async () => {
    const detailed = {...gate, details: () => ['crm: 1.2 GB', 'two lines']}
    const error = await drErrorOf((async () => { keeper({}).check(detailed, {}) })())
    expect(error.message).to.match(/Drop crm\?\n {2}crm: 1\.2 GB\n {2}two lines$/)
    const shown: string[] = []
    await keeper({confirm: 'crm db', show: (line) => { shown.push(line) }}).pass(detailed, {}, signal)
    expect(shown).to.deep.equal(['crm: 1.2 GB', 'two lines'])
  })

  it('does not take --yes where the gate is strict, in any environment', async () => {
    const strict = {...gate, strict: true}
    const error = await drErrorOf((async () => { keeper({yes: true, protected: false}).check(strict, {}) })())
    expect(error.hints).to.deep.equal(["Pass --confirm 'crm db'"])
    expect(await keeper({confirm: 'crm db', protected: false}).pass(strict, {}, signal)).to.equal('crm db')
  })

  it('never answers by a flag what shows only in the middle, and throws what the gate says', async () => {
    const late = {...gate, unasked: () => new StopError('swap.not-clean', 'Not clean.')}
    for (const answers of [{confirm: 'crm db'}, {yes: true, protected: false}]) {
      keeper(answers).check(late, {})
      expect(await drErrorOf(keeper(answers).pass(late, {}, signal))).to.be.instanceOf(StopError).and.include({code: 'swap.not-clean'})
    }
  })
})
