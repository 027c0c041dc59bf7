import {expect} from 'chai'
import {readFileSync} from 'node:fs'
import {RestoreComplaints, classifiedLine, restoreError} from '../../../src/lib/postgres/restore-errors.ts'
import {addHarmless, isHarmless, RESTORE_RULES, ruleOf, type Majors, type RestoreProblem} from '../../../src/lib/postgres/restore-rules.ts'

const majors: Majors = {clientMajor: 17, serverMajor: 16}
const problem = (said: string, command?: string): RestoreProblem => ({entry: undefined, dumpId: undefined, message: `could not execute query: ERROR:  ${said}`, command})
const page = readFileSync(new URL('../../../docs/restore-errors.md', import.meta.url), 'utf8')

describe('the rules for errors of a restore', () => {
  it('have each a name of their own and a reason', () => {
    expect(new Set(RESTORE_RULES.map(({id}) => id)).size).to.equal(RESTORE_RULES.length)
    for (const rule of RESTORE_RULES) expect(rule.reason, rule.id).to.match(/^\S.{20,}/).and.not.match(/\.$/)
    for (const rule of RESTORE_RULES.filter((one) => one.class !== 'harmless')) expect(rule.code, rule.id).to.match(/^restore\./)
  })

  it('are all documented, and no other', () => {
    const rows = [...page.matchAll(/^\| `([a-z-]+)` \| /gm)].map(([, id = '']) => id).filter((id) => !['clean', 'harmless', 'failed'].includes(id))
    expect(rows.toSorted()).to.deep.equal(RESTORE_RULES.map(({id}) => id).toSorted())
  })

  const harmless: [string, string, string][] = [
    ['transaction-timeout', 'unrecognized configuration parameter "transaction_timeout"', 'SET transaction_timeout = 0;'],
    ['schema-public', 'schema "public" already exists', 'CREATE SCHEMA public;'],
    ['extension-comment', 'must be owner of extension pgcrypto', "COMMENT ON EXTENSION pgcrypto IS 'x';"],
    ['plpgsql', 'extension "plpgsql" already exists', 'CREATE PROCEDURAL LANGUAGE plpgsql;'],
    ['plpgsql', 'language "plpgsql" already exists', 'CREATE LANGUAGE plpgsql;'],
    ['plpgsql', 'must be owner of language plpgsql', "COMMENT ON LANGUAGE plpgsql IS 'x';"],
  ]
  for (const [id, said, command] of harmless) {
    it(`forgive: ${said}, of ${command}`, () => {
      expect(ruleOf(problem(said, command), majors)?.rule).to.include({id, class: 'harmless'})
      // The same over psql, with its SQLSTATE.
      expect(ruleOf({...problem(said, command), message: `psql:dump.sql:12: ERROR:  42000: ${said}`}, majors)?.rule.id).to.equal(id)
    })
  }

  const similar: [string, string | undefined][] = [
    ['unrecognized configuration parameter "transaction_timeout"', 'ALTER DATABASE crm SET transaction_timeout = 0;'],
    ['unrecognized configuration parameter "transaction_timeout2"', 'SET transaction_timeout = 0;'],
    ['unrecognized configuration parameter "idle_session_timeout"', 'SET idle_session_timeout = 0;'],
    ['schema "app" already exists', 'CREATE SCHEMA app;'],
    ['schema "public" already exists', 'ALTER SCHEMA app RENAME TO public;'],
    ['schema "public" already exists', 'CREATE SCHEMA public2;'],
    ['schema "public" does not exist', 'CREATE SCHEMA public;'],
    ['schema "public" already exists', undefined],
    ['must be owner of extension pgcrypto', 'ALTER EXTENSION pgcrypto SET SCHEMA app;'],
    ['must be owner of table leads', "COMMENT ON EXTENSION pgcrypto IS 'x';"],
    ['extension "pgcrypto" does not exist', "COMMENT ON EXTENSION pgcrypto IS 'x';"],
    ['extension "plpgsql" already exists', 'CREATE EXTENSION plpgsql;'],
    ['language "plperl" already exists', 'CREATE PROCEDURAL LANGUAGE plperl;'],
    ['must be owner of language plpgsql', 'DROP LANGUAGE plpgsql;'],
    ['relation "leads" already exists', 'CREATE TABLE leads ();'],
    ['permission denied for schema public', 'CREATE TABLE public.leads ();'],
  ]
  for (const [said, command] of similar) {
    it(`do not forgive: ${said}, of ${command ?? 'no statement'}`, () => {
      expect(isHarmless(problem(said, command), majors)).to.equal(false)
    })
  }

  it('forgive the timeout only between new tools and old servers', () => {
    const one = problem('unrecognized configuration parameter "transaction_timeout"', 'SET transaction_timeout = 0;')
    expect([[16, 16], [17, 17], [18, 18], [17, 16], [18, 13]].map(([clientMajor = 0, serverMajor = 0]) => isHarmless(one, {clientMajor, serverMajor}))).to.deep.equal([false, false, false, true, true])
  })

  it('say how to repair, and name what', () => {
    const error = (said: string) => restoreError([problem(said)], 1, [], majors)
    expect(error('role "crm_app" does not exist')).to.include({code: 'restore.roles'}).and.property('hints').that.satisfies((hints: string[]) => hints.join().includes('--role-map crm_app='))
    expect(error('must be able to SET ROLE "crm_owner"')).to.include({code: 'restore.owners'}).and.property('hints').that.satisfies((hints: string[]) => hints.join().includes('GRANT "crm_owner"'))
    expect(error('permission denied to create extension "dblink"').hints.join()).to.contain('--skip extension:dblink')
    expect(error('something new').code).to.equal('restore.failed')
  })

  it('put a class to each error in words', () => {
    expect(classifiedLine({...problem('role "x" does not exist'), entry: 'ACL TABLE leads'}, majors)).to.equal('repairable, missing-role: ACL TABLE leads: ERROR: role "x" does not exist')
    expect(classifiedLine(problem('odd'), majors)).to.equal('fatal, no rule knows it: ERROR: odd')
  })

  it('count equal errors once, with their number', () => {
    const gathered = [{rule: 'a', subject: '', message: 'm', count: 2}]
    addHarmless(gathered, [{rule: 'a', subject: '', message: 'm', count: 3}, {rule: 'a', subject: 's', message: 'm', count: 1}])
    expect(gathered.map(({count}) => count)).to.deep.equal([5, 1])
  })
})

describe('the complaints of one pg_restore', () => {
  const archive = {formatVersion: '1.16', compression: 'zstd' as const, database: 'd', serverVersion: '17', pgDumpVersion: '17.5', entries: []}
  const judged = (lines: readonly string[], with_ = majors) => {
    const complaints = new RestoreComplaints(archive)
    for (const line of lines) complaints.line(line)
    return {...complaints.judge(with_), warnings: [...complaints.warnings]}
  }
  const timeout = ['pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"', 'Command was: SET transaction_timeout = 0;']
  const schema = ['pg_restore: error: could not execute query: ERROR:  schema "public" already exists', 'Command was: CREATE SCHEMA public;']
  const other = ['pg_restore: error: could not execute query: ERROR:  relation "x" already exists', 'Command was: CREATE TABLE x ();']

  it('are forgiven together when each is harmless by its own rule', () => {
    const {forgiven, harmless, problems} = judged([...timeout, ...schema, ...timeout])
    expect(forgiven).to.equal(true)
    expect(problems).to.deep.equal([])
    expect(harmless.map(({rule, count}) => [rule, count])).to.deep.equal([['transaction-timeout', 2], ['schema-public', 1]])
  })

  it('are not when one among them is not', () => {
    const {forgiven, problems} = judged([...timeout, ...schema, ...other])
    expect(forgiven).to.equal(false)
    expect(problems.map(({message}) => message)).to.deep.equal(['could not execute query: ERROR:  relation "x" already exists'])
  })

  it('are not when a torn line hides one', () => {
    expect(judged([...schema, 'pg_restore: creating TABLE "public.a"pg_restore: error: pg_restore: creating TABLE "public.b"']).forgiven).to.equal(false)
    expect(judged([...timeout, 'pg_restore: fatal: out of memory']).forgiven).to.equal(false)
  })

  it('keep what the server warned of', () => {
    expect(judged(['pg_restore: WARNING:  no privileges were granted for "leads"']).warnings).to.deep.equal(['no privileges were granted for "leads"'])
  })
})
