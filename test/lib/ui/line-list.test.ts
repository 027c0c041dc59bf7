import {expect} from 'chai'
import {lineList} from '../../../src/lib/ui/line-list.ts'
import {forgetSecrets, registerSecret} from '../../../src/lib/system/redact.ts'

describe('lineList', () => {
  const lines: string[] = []
  let time = 0
  const renderer = lineList({write: (line) => { lines.push(line) }, elapsed: () => time})

  beforeEach(() => {
    lines.length = 0
    time = 0
  })

  it('begins each line with the title of its step', () => {
    const phase = renderer.phase('Backing up', [{id: 'a', title: 'Dump'}, {id: 'b', title: 'Check'}])
    phase.step('a').start()
    time = 12_000
    phase.step('a').notice('look at this')
    phase.step('a').done()
    phase.step('b').skip('not needed')
    phase.notice('Stopping')
    phase.step('b').fail(new Error('no'))
    expect(lines).to.deep.equal(['Backing up', '  Dump: started', '  Dump: look at this', '  Dump: done in 12 s', '  Check: skipped, not needed', 'Stopping', '  Check: failed: no'])
  })

  it('prints one progress in five seconds', () => {
    const row = renderer.phase('P', [{id: 'a', title: 'Dump'}]).step('a')
    row.start()
    for (time = 0; time <= 11_000; time += 100) row.progress({unit: 'bytes', done: time, total: 20_000})
    expect(lines.slice(2)).to.deep.equal(['  Dump: 25 %, 5.0 kB of 20.0 kB', '  Dump: 50 %, 10.0 kB of 20.0 kB'])
  })

  it('prints no secret', () => {
    registerSecret('hunter22')
    try {
      renderer.phase('P', [{id: 'a', title: 'Dump'}]).step('a').fail(new Error('password hunter22 is wrong'))
    } finally {
      forgetSecrets()
    }
    expect(lines.join('\n')).not.to.include('hunter22')
  })
})
