import {expect} from 'chai'
import {attachRun, failureJson, failureOf} from '../../../src/lib/cli/failure.ts'
import {failureLines} from '../../../src/lib/cli/failure-lines.ts'
import {DrError, ExitCode, InterruptedError} from '../../../src/lib/errors.ts'
import {forgetSecrets, registerSecret} from '../../../src/lib/system/redact.ts'

describe('failureOf', () => {
  afterEach(forgetSecrets)

  const of = async (error: unknown) => {
    const failure = await failureOf(error, ['backup'])
    if (!failure) throw new Error('no failure')
    return failure
  }

  it('tells an expected failure in its own words', async () => {
    expect(await of(new DrError('storage.denied', 'Denied.', {exitCode: ExitCode.unreachable, hints: ['Check the key']}))).to.deep.equal({code: 'storage.denied', message: 'Denied.', hints: ['Check the key'], exitCode: 5})
  })

  it('shows values of rows on the terminal, behind the message, and not in --json', async () => {
    const failure = await of(new DrError('partial.conflict', 'A row is in the way.', {details: ['Key (email)=(a@b) exists'], hints: ['Move it']}))
    expect([...failureLines(failure)]).to.deep.equal(['Error: A row is in the way.', '  Key (email)=(a@b) exists', '  Hint: Move it'])
    expect(JSON.stringify(failureJson(failure))).to.equal('{"error":{"code":"partial.conflict","message":"A row is in the way.","hints":["Move it"],"exitCode":1}}')
  })

  it('names the run it belongs to', async () => {
    const error = new InterruptedError()
    attachRun(error, {run: 'r', journal: '/j/r.jsonl'})
    const failure = await of(error)
    expect(failure).to.deep.include({exitCode: 130, run: 'r', journal: '/j/r.jsonl'})
    expect([...failureLines(failure)]).to.deep.equal(['Error: Interrupted.', '  Journal: /j/r.jsonl'])
  })

  it('says of anything unexpected that it is a bug, with the journal and the way to see more', async () => {
    const error = new TypeError('x is not a function')
    attachRun(error, {run: 'r', journal: '/j/r.jsonl'})
    const failure = await of(error)
    expect(failure).to.include({code: 'unexpected', exitCode: 1})
    expect(failure.message).to.include('x is not a function')
    expect(failure.hints.join('\n')).to.include('bug').and.include('DEBUG=dr*')
    expect([...failureLines(failure)].at(-1)).to.equal('  Journal: /j/r.jsonl')
    expect(await of('a string')).to.include({code: 'unexpected', message: 'Unexpected: a string'})
  })

  it('is broken between words on a terminal, and nothing of it is cut off', async () => {
    const hint = 'What each row was before is in the schema dr_undo_20261127t020000z_partial_0001: put back by hand what is to go back.'
    const failure = {...(await of(new DrError('partial.changed-since', `12 rows were changed since the merge: ${'public.leads id 7f9c, '.repeat(6)}…`, {hints: [hint, 'dr list']}))), journal: `/data/journal/${'x'.repeat(70)}.jsonl`}
    const lines = [...failureLines(failure, 60)]
    expect(lines.slice(0, -1).filter((line) => line.length > 60)).to.deep.equal([])
    expect(lines.length).to.be.above(6)
    expect(lines.map((line) => line.trim()).join(' ')).to.equal(`Error: ${failure.message} Hint: ${hint} Hint: dr list Journal: ${failure.journal}`)
    expect([...failureLines(failure)]).to.have.lengthOf(4)
  })

  it('holds no secret in message or hints', async () => {
    registerSecret('hunter22')
    const failure = await of(new DrError('x', 'hunter22 at postgres://u:pw@h', {hints: ['not hunter22']}))
    expect(JSON.stringify(failure)).not.to.match(/hunter22|u:pw/)
  })

  it('takes an aborted wait for an interruption', async () => {
    expect(await of(new DOMException('This operation was aborted', 'AbortError'))).to.include({code: 'interrupted', exitCode: 130})
  })

  it('is silent about this.exit(n)', async () => {
    expect(await failureOf(Object.assign(new Error('EEXIT: 7'), {code: 'EEXIT', oclif: {exit: 7}}), [])).to.equal(undefined)
  })
})
