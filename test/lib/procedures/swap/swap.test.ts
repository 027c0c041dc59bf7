import {expect} from 'chai'
import {connect, endQuietly, rowOf, rowsOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {readTraits} from '../../../../src/lib/postgres/database-traits.ts'
import type {StatementHook} from '../../../../src/lib/postgres/swap.ts'
import {DeclinedError} from '../../../../src/lib/errors.ts'
import type {backupProcedure} from '../../../../src/lib/procedures/backup/index.ts'
import {gatekeeper} from '../../../../src/lib/ui/prompter.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {APP, crmFixture, MASTER, succeeded} from '../../../support/crm.ts'
import {wrongFindings, type RestoreSetting} from '../../../support/restore.ts'
import {runSwap, runUndo} from '../../../support/swap.ts'

describe('a restore that is swapped in', function () {
  this.timeout(240_000)
  const crm = crmFixture()
  const {all, restore, standing, digest, seenBy} = crm

  it('carries owner, settings, privileges, limit and comment, and row-level security holds', async () => {
    await crm.admin.query("ALTER ROLE crm_app IN DATABASE crm SET statement_timeout = '17s'; ALTER DATABASE crm SET lock_timeout = '3s'; ALTER DATABASE crm RESET work_mem")
    const before = await readTraits(crm.admin, 'crm')
    const {state} = succeeded(await restore())
    expect(wrongFindings(state.findings)).to.deep.equal([])
    expect(await readTraits(crm.admin, 'crm')).to.deep.equal(before)
    expect(await seenBy('t1')).to.deep.equal(['t1'])
    expect(await seenBy('nobody')).to.deep.equal([])
    const {rows, limit} = await withClient(crm.cluster.url('crm', APP), {}, (client) => rowOf<{rows: number; limit: string}>(client, "SELECT (SELECT count(*)::int FROM public.calls) AS rows, current_setting('statement_timeout') AS limit"))
    expect({rows, limit}).to.deep.equal({rows: 300, limit: '17s'})
    expect(state.findings.find(({code}) => code === 'swap.traits-differ')?.message).to.include('no lock_timeout').and.include('work_mem = 9MB')
    expect(state.swap?.outageMs).to.be.within(0, 5000)
  })

  it('is done by an owner that is no superuser', async () => {
    const before = await readTraits(crm.admin, 'crm')
    const {state} = succeeded(await restore({url: crm.cluster.url('crm', MASTER)}))
    expect(wrongFindings(state.findings)).to.deep.equal([])
    expect(await readTraits(crm.admin, 'crm')).to.deep.equal(before)
    expect(await seenBy('t2')).to.deep.equal(['t2'])
  })

  it('tells what of the old one is lost, and undo brings every row back', async () => {
    const before = await digest('crm')
    const {state} = succeeded(await restore())
    expect(state.swap?.loss?.find(({table}) => table === 'public.leads')).to.deep.equal({table: 'public.leads', live: 1000, estimated: false, coming: 1000})
    expect(state.swap?.target).to.include({database: 'crm', tenants: 3, rows: 1300}).and.to.have.nested.property('newest.table', 'public.leads')
    const restored = await digest('crm')
    expect(restored).not.to.deep.equal(before)
    await withClient(crm.cluster.url('crm'), {}, (client) => client.query("INSERT INTO public.leads VALUES (9001, 't1', 'after the swap'); UPDATE public.calls SET id = 9000 WHERE id = 1"))
    const undone = succeeded(await runUndo(standing()))
    expect(undone.state.swap.loss?.map(({table, live: now, coming, written}) => ({table, now, coming, written}))).to.deep.equal([{table: 'public.calls', now: 300, coming: 300, written: 1}, {table: 'public.leads', now: 1001, coming: 1000, written: 1}])
    expect(await digest('crm')).to.deep.equal(before)
    expect((await readTraits(crm.admin, 'crm'))?.comment).to.equal('dr\'s own "customer"')
    // An undo is undone in the same way: what was written since the swap is there again.
    succeeded(await runUndo(standing()))
    expect(await withClient(crm.cluster.url('crm'), {}, (client) => rowsOf(client, 'SELECT FROM public.leads WHERE id = 9001'))).to.have.length(1)
    succeeded(await runUndo(standing()))
    expect(await digest('crm')).to.deep.equal(before)
    expect(await all()).to.have.length(2)
  })

  it('counts what was written since the backup when it is of this very database', async () => {
    const own = await temporaryFolder('swap')
    try {
      const {error, state: {label: fresh = ''}} = await runBackup({url: crm.cluster.url('crm'), directory: own, toolsMajor: 17})
      if (error) throw error
      await withClient(crm.cluster.url('crm'), {}, (client) => client.query("UPDATE public.leads SET title = 'later' WHERE id < 20"))
      const {state} = succeeded(await restore({directory: own, backup: fresh}))
      expect(state.swap?.loss?.map(({table, written}) => ({table, written}))).to.deep.equal([{table: 'public.calls', written: 0}, {table: 'public.leads', written: 18}])
    } finally {
      await removeFolder(own)
    }
  })

  it('gives the name when there is no live database, with what the backup knows of it', async () => {
    const before = await readTraits(crm.admin, 'crm')
    await crm.cluster.drop('crm')
    const {state} = succeeded(await restore({swap: {safety: 'backup', backup: {procedure: {id: 'backup', title: '', phases: []}, state: {} as never}}}))
    expect(state.swap).to.include({missing: true, swapped: true}).and.not.have.property('kept')
    expect(await readTraits(crm.admin, 'crm')).to.deep.equal(before)
    expect(await all()).to.deep.equal(['crm'])
    expect((await runUndo(standing()).catch((error: unknown) => error))).to.have.property('code', 'undo.nothing')
  })

  describe('asks first', () => {
    const nothingDone = async () => { expect(await all()).to.deep.equal(['crm']) }

    it('and does nothing when it is declined', async () => {
      const shown: string[] = []
      const {error} = await restore({gatekeeper: {check() {}, pass: (gate, state) => { shown.push(...gate.details?.(state) ?? []); return Promise.reject(new DeclinedError()) }}})
      expect(error).to.have.property('exitCode', 8)
      expect(error?.hints?.join()).to.include('Nothing was changed')
      expect(shown.join('\n')).to.match(/Server {6}127\.0\.0\.1:\d+, PostgreSQL 17.*system \d+/).and.match(/crm: development, .*2 tables, 1,300 rows, 3 tenants/).and.match(/Newest row {2}2026-11-22 10:00:00 UTC \(public\.leads, createdAt\)/)
      await nothingDone()
    })

    it('and knows without a terminal before anything begins that the answer is missing', async () => {
      const {error} = await restore({gatekeeper: gatekeeper({confirm: undefined, yes: true, protected: true, interactive: false})})
      expect(error).to.include({code: 'confirmation.missing', exitCode: 2})
      expect((await restore({gatekeeper: gatekeeper({confirm: 'other', yes: false, protected: true, interactive: false})})).error).to.include({code: 'confirmation.mismatch'})
      await nothingDone()
    })
  })

  describe('when not all is as in the backup', () => {
    /** The maintenance connection spoils the restored database before it is compared. */
    const spoiling = (more: Partial<RestoreSetting> = {}) => restore({onStep: (id) => { if (id === 'restore.analyze') void spoil() }, gatekeeper: gatekeeper({confirm: 'crm', yes: false, protected: true, interactive: false}), ...more})
    let spoiled: Promise<unknown> = Promise.resolve()
    const spoil = () => (spoiled = all().then(async (names) => {
      const side = names.find((name) => name.startsWith('crm_restore_')) ?? ''
      await withClient(crm.cluster.url(side), {}, (client) => client.query('DELETE FROM public.calls WHERE id < 5'))
    }))

    it('stops without a terminal, keeps what it restored, and a later swap takes it', async () => {
      const before = await digest('crm')
      const {error, state} = await spoiling()
      await spoiled
      expect(error).to.include({code: 'swap.not-clean', exitCode: 4})
      expect(error?.hints?.join('\n')).to.include(`dr swap ${state.database} --confirm crm --accept`)
      expect(await digest('crm')).to.deep.equal(before)
      expect(await all()).to.deep.equal(['crm', state.database])
      const strict = gatekeeper({confirm: 'crm', yes: false, protected: true, interactive: false})
      expect((await runSwap(state.database, standing({gatekeeper: strict}))).error).to.include({code: 'swap.not-clean', exitCode: 4})
      const later = succeeded(await runSwap(state.database, standing({options: {accept: true}, gatekeeper: strict})))
      expect(later.state.swap.kept).to.match(/^crm_before_\d{14}$/)
      expect(await withClient(crm.cluster.url('crm'), {}, (client) => rowsOf(client, 'SELECT FROM public.calls'))).to.have.length(296)
      expect((await readTraits(crm.admin, 'crm'))?.comment).to.equal('dr\'s own "customer"')
    })

    it('goes on when it is told to at the question', async () => {
      const asked: string[] = []
      const {state} = succeeded(await spoiling({gatekeeper: {check() {}, pass: (gate, at) => { asked.push(gate.question(at)); return Promise.resolve('crm') }}}))
      await spoiled
      expect(asked).to.have.length(2)
      expect(state.swap?.swapped).to.equal(true)
    })

    it('counts a setting that it may not carry over as such', async () => {
      await crm.admin.query("ALTER ROLE crm_reader IN DATABASE crm SET statement_timeout = '1s'; ALTER DATABASE crm SET log_min_duration_statement = 5")
      const {error, state} = await restore({url: crm.cluster.url('crm', MASTER), gatekeeper: gatekeeper({confirm: 'crm', yes: false, protected: false, interactive: false})})
      expect(error).to.include({code: 'swap.not-clean', exitCode: 4})
      expect(state.findings.filter(({code}) => code === 'swap.trait-refused').map(({severity, message}) => `${severity} ${message}`).join('\n')).to.match(/warning log_min_duration_statement = 5 could not/).and.match(/error \[crm_reader\] statement_timeout = 1s could not/)
    })
  })

  it('keeps what it restored when the moment is not right, names who is in the way, and a later swap takes it', async () => {
    const master = await connect(crm.cluster.url('crm'), {applicationName: 'rdsadmin'})
    const {error, state} = await restore({url: crm.cluster.url('crm', MASTER), swap: {patienceMs: 200}})
    expect(error).to.include({code: 'swap.busy', exitCode: 6})
    expect(error?.message).to.match(/postgres \(rdsadmin\), process \d+/)
    expect(error?.hints?.join('\n')).to.include(`dr swap ${state.database} --confirm crm`)
    expect(await all()).to.deep.equal(['crm', state.database])
    await endQuietly(master)
    succeeded(await runSwap(state.database, standing({url: crm.cluster.url('crm', MASTER)})))
    expect(await seenBy('t1')).to.deep.equal(['t1'])
  })

  it('notices what came into the old one while it restored', async () => {
    const {error, state} = await restore({onStep: (id) => { if (id === 'restore.analyze') void withClient(crm.cluster.url('crm'), {}, (client) => client.query("SELECT pg_create_logical_replication_slot('late', 'pgoutput')")) }})
    expect(error).to.include({code: 'swap.slots', exitCode: 3})
    expect(await all()).to.deep.equal(['crm', state.database])
    await crm.admin.query("SELECT pg_drop_replication_slot('late')")
  })

  it('swaps back by itself when the new one cannot be written to', async () => {
    const before = await digest('crm')
    const hook: StatementHook = async (moment, statement) => {
      if (moment === 'after' && statement === 'COMMIT') await crm.admin.query('ALTER DATABASE crm ALLOW_CONNECTIONS false')
    }
    const {error, notices} = await restore({swap: {hook}})
    expect(error?.message).to.match(/not currently accepting connections/).and.not.match(/Not undone/)
    expect(notices.join()).to.match(/crm is the old database again; the new one is crm_undone_/)
    expect(await digest('crm')).to.deep.equal(before)
    expect(await all()).to.have.length(2)
  })

  it('takes the name away again where nobody had it, and keeps what was live for a moment', async () => {
    await crm.cluster.drop('crm')
    const hook: StatementHook = async (moment, statement) => {
      if (moment === 'after' && statement === 'COMMIT') await crm.admin.query('ALTER DATABASE crm ALLOW_CONNECTIONS false')
    }
    const {error, notices} = await restore({swap: {hook}})
    expect(error?.message).to.match(/not currently accepting connections/).and.not.match(/Not undone/)
    const [kept = '', ...more] = await all()
    expect(more).to.deep.equal([])
    expect(kept).to.match(/^crm_undone_\d{14}$/)
    expect(notices.join()).to.include(`There is no crm again; what was restored is ${kept}.`)
  })

  it('leaves the old one alone when it is stopped while it restores', async () => {
    const before = await digest('crm')
    const controller = new AbortController()
    const {error} = await restore({signal: controller.signal, onStep: (id) => { if (id === 'restore.rest') controller.abort(new Error('stop')) }})
    expect(error?.message).to.equal('stop')
    expect(await digest('crm')).to.deep.equal(before)
    expect(await all()).to.deep.equal(['crm'])
  })

  it('says that a live one which is closed is not backed up, and replaces it', async () => {
    await crm.admin.query('ALTER DATABASE crm ALLOW_CONNECTIONS false')
    const {state, notices} = succeeded(await restore({swap: {safety: 'backup', backup: {procedure: backupProcedureStub(), state: {} as never}}}))
    expect(notices.join()).to.match(/crm cannot be read in full: it is closed to connections/)
    expect(state.swap?.unreadable).to.equal('it is closed to connections')
    expect(await seenBy('t1')).to.deep.equal(['t1'])
  })

  /** One that fails when it is run. */
  const backupProcedureStub = (): ReturnType<typeof backupProcedure> => ({id: 'backup', title: '', phases: [{title: '', steps: [{id: 'backup.copy', title: 'Copy', effect: 'write', byHand: () => [], run: () => Promise.reject(new Error('it was begun'))}]}]})
})
