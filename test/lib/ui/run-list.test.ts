import {expect} from 'chai'
import {stripVTControlCharacters} from 'node:util'
import type {ListedRun} from '../../../src/lib/report/listed-run.ts'
import {runListLines} from '../../../src/lib/ui/run-list.ts'
import {textWidth} from '../../../src/lib/ui/text.ts'

const now = new Date('2026-11-22T02:05:00Z')
const stopped: ListedRun = {
  run: '20261122T020000Z-restore-2827', journal: '/j', procedure: 'restore', title: 'Restore 20261121T020000Z-7f3a of crm (production) into a new database', environment: 'production', target: 'db:5432/crm',
  status: 'stopped', begunAt: '2026-11-22T02:00:00Z', lastAt: '2026-11-22T02:03:00Z', process: {pid: 7, host: 'bastion'}, stopped: {where: 'in', step: 'restore.load', title: 'Load the tables'},
  left: ['database crm_restore_20261122020000, not complete'], continues: 'restores into crm_restore_20261122020000 again, from the start', whyNot: null, undoes: true,
}
const lines = (runs: readonly ListedRun[], {undone, width}: {undone?: ListedRun; width?: number} = {}) => [...runListLines(runs, undone, now, width)].map(stripVTControlCharacters)

describe('the list of runs', () => {
  it('says where one stopped, what it left, and the commands alone on their lines', () => {
    expect(lines([stopped])).to.deep.equal([
      '20261122T020000Z-restore-2827  stopped in: Load the tables',
      '  Restore 20261121T020000Z-7f3a of crm (production) into a new database',
      '  at db:5432/crm, begun 5 min ago, last sign of life 2 min ago',
      '  left: database crm_restore_20261122020000, not complete',
      '  dr resume 20261122T020000Z-restore-2827',
      '    restores into crm_restore_20261122020000 again, from the start',
      '  dr resume 20261122T020000Z-restore-2827 --undo',
      '    removes what it left',
    ])
  })

  it('fits the terminal', () => {
    for (const line of lines([stopped, {...stopped, whyNot: 'its snapshot has ended with its process; dr backup makes a new one', continues: null}], {width: 60})) expect(textWidth(line), line).to.be.at.most(60)
  })

  it('says why one cannot be gone on with', () => {
    expect(lines([{...stopped, continues: null, whyNot: 'its snapshot is gone'}])).to.include('  it cannot be gone on with: its snapshot is gone').and.not.include('  dr resume 20261122T020000Z-restore-2827')
  })

  it('has one line for how each stands', () => {
    const first = (more: Partial<ListedRun>) => lines([{...stopped, ...more}])[0]?.split('  ')[1]
    expect(first({status: 'running'})).to.equal('running, process 7 on bastion')
    expect(first({status: 'declined', stopped: {where: 'after', step: 'a', title: 'Check'}})).to.equal('a question was declined after: Check')
    expect(first({status: 'not-undone', stopped: {where: 'undoing', step: 'a', title: 'Create'}})).to.equal('failed, and not undone to its end in the undo of: Create')
    expect(first({status: 'undone', stopped: null})).to.equal('undone')
    expect(first({status: 'finished', stopped: null})).to.equal('finished')
  })

  it('offers nothing for one that is at work', () => {
    expect(lines([{...stopped, status: 'running', continues: null, undoes: false}]).join('\n')).not.to.include('dr resume')
  })

  it('names, when there are none, the one that has undone itself', () => {
    expect(lines([])).to.deep.equal(['There are no unfinished runs.'])
    expect(lines([], {undone: {...stopped, status: 'undone', continues: 'begins it anew'}}).slice(1)).to.deep.equal([
      'The last one that was stopped has undone itself 2 min ago: Restore 20261121T020000Z-7f3a of crm (production) into a new database',
      '  dr resume 20261122T020000Z-restore-2827',
      '    begins it anew',
    ])
  })

  it('shows no control characters of a name', () => {
    expect(lines([{...stopped, left: ['database a\u001B[31mb\nc']}]).join('\n')).to.include('left: database ab c')
  })
})
