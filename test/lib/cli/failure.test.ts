import {expect} from 'chai'
import {attachRun, failureLines, failureOf} from '../../../src/lib/cli/failure.ts'
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
