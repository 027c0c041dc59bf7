import nock from 'nock'

let open = 0

/** Real connections, until the returned function is called: nock lets large bodies by and alters how sockets behave. */
export function realNetwork(): () => void {
  if (open++ === 0) nock.restore()
  return () => {
    if (--open === 0) nock.activate()
  }
}
