import {expect} from 'chai'
import {ExitCode} from '../../../src/lib/errors.ts'
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
