import {expect} from 'chai'
import {grantors, mapDefinition, withSetRole} from '../../../src/lib/postgres/role-map.ts'

const map = new Map([['old', 'new'], ['Odd; "Role"', 'to'], ['other', 'new']])

describe('a definition with other roles', () => {
  const cases: [string, string, string][] = [
    ['ACL', 'GRANT SELECT ON TABLE public.leads TO old;', 'GRANT SELECT ON TABLE public.leads TO "new";'],
    ['ACL', 'GRANT SELECT,INSERT ON TABLE old.old TO old WITH GRANT OPTION;\nREVOKE ALL ON TABLE old.old FROM PUBLIC;', 'GRANT SELECT,INSERT ON TABLE old.old TO "new" WITH GRANT OPTION;\nREVOKE ALL ON TABLE old.old FROM PUBLIC;'],
    ['ACL', 'GRANT SELECT("old",id) ON TABLE public."TO old" TO "Odd; ""Role""";', 'GRANT SELECT("old",id) ON TABLE public."TO old" TO "to";'],
    ['ACL', 'GRANT ALL ON FUNCTION app.f(old text, "from" old) TO "old";', 'GRANT ALL ON FUNCTION app.f(old text, "from" old) TO "new";'],
    ['ACL', 'SET SESSION AUTHORIZATION old;\nGRANT SELECT ON TABLE t TO third;\nRESET SESSION AUTHORIZATION;', 'SET SESSION AUTHORIZATION "new";\nGRANT SELECT ON TABLE t TO third;\nRESET SESSION AUTHORIZATION;'],
    ['ACL', 'REVOKE GRANT OPTION FOR ALL ON SCHEMA old FROM GROUP old;', 'REVOKE GRANT OPTION FOR ALL ON SCHEMA old FROM GROUP "new";'],
    ['ACL', 'GRANT SELECT ON TABLE old TO third, old, public, other;', 'GRANT SELECT ON TABLE old TO third, "new", public, "new";'],
    ['ACL', 'GRANT SELECT ON TABLE a.public, old TO "OLD";', 'GRANT SELECT ON TABLE a.public, old TO "OLD";'],
    ['DEFAULT ACL', 'ALTER DEFAULT PRIVILEGES FOR ROLE old IN SCHEMA old REVOKE ALL ON FUNCTIONS FROM old;', 'ALTER DEFAULT PRIVILEGES FOR ROLE "new" IN SCHEMA old REVOKE ALL ON FUNCTIONS FROM "new";'],
    ['POLICY', "CREATE POLICY old ON old.old AS RESTRICTIVE FOR SELECT TO old, third USING ((old = 'TO old'::text)) WITH CHECK (true);", "CREATE POLICY old ON old.old AS RESTRICTIVE FOR SELECT TO \"new\", third USING ((old = 'TO old'::text)) WITH CHECK (true);"],
    ['POLICY', 'CREATE POLICY p ON t USING ((role TO old));', 'CREATE POLICY p ON t USING ((role TO old));'],
    ['POLICY', 'CREATE POLICY p ON t TO old, third, other, fourth USING (true);', 'CREATE POLICY p ON t TO "new", third, fourth USING (true);'],
    ['ACL', 'GRANT ALL ON TABLE t TO x;\nSET SESSION AUTHORIZATION old;\nGRANT SELECT ON TABLE t TO other;\nGRANT SELECT ON TABLE t TO third;\nRESET SESSION AUTHORIZATION;\n', 'GRANT ALL ON TABLE t TO x;\nSET SESSION AUTHORIZATION "new";\nGRANT SELECT ON TABLE t TO third;\nRESET SESSION AUTHORIZATION;\n'],
    ['USER MAPPING', "CREATE USER MAPPING FOR old SERVER old OPTIONS (\"user\" 'old', x 'it''s FOR old');", "CREATE USER MAPPING FOR \"new\" SERVER old OPTIONS (\"user\" 'old', x 'it''s FOR old');"],
    ['TABLE', 'CREATE TABLE t (a text DEFAULT \'GRANT x TO old\');', 'CREATE TABLE t (a text DEFAULT \'GRANT x TO old\');'],
    ['FUNCTION', 'CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ GRANT x TO old $$;', 'CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ GRANT x TO old $$;'],
  ]
  for (const [kind, from, to] of cases) {
    it(`${kind}: ${from}`, () => {
      expect(mapDefinition(kind, from, map)).to.equal(to)
      expect(mapDefinition(kind, from, new Map())).to.equal(from)
    })
  }

  it('says by whom privileges were granted', () => {
    expect(grantors('GRANT ALL ON TABLE t TO x;\nSET SESSION AUTHORIZATION a;\nGRANT SELECT ON TABLE t TO y;\nRESET SESSION AUTHORIZATION;\nSET SESSION AUTHORIZATION "B c";')).to.deep.equal(['a', 'B c'])
  })

  it('is granted by whoever may become the role', () => {
    expect(withSetRole('SET SESSION AUTHORIZATION a;\nGRANT SELECT ON TABLE t TO y;\nRESET SESSION AUTHORIZATION;').replaceAll(/ +/g, ' ')).to.equal('SET ROLE a;\nGRANT SELECT ON TABLE t TO y;\nRESET ROLE ;')
  })
})
