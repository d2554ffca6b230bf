import { useState } from 'preact/hooks';
import { request } from '../api';

/** The key goes into a cookie that scripts cannot read, and that other sites' pages do not send. */
export function SignIn({ done }: { done: () => void }) {
  const [key, setKey] = useState('');
  const [error, setError] = useState('');
  const enter = (event: Event) => {
    event.preventDefault();
    request('POST', '/session', { key: key.trim() }).then(done, (refusal: Error) => setError(refusal.message));
  };
  return (
    <main class="sign-in">
      <h1>FineTuneService</h1>
      <form onSubmit={enter}>
        <input class="unseen" name="username" autoComplete="username" value="api key" readOnly tabIndex={-1} aria-hidden="true" />
        <label>
          API key
          <input type="password" autoComplete="current-password" value={key} onInput={event => setKey(event.currentTarget.value)} placeholder="ft_…" required autoFocus />
        </label>
        <p class="hint">
          The first one is in the file <code>bootstrap-key</code> of the service's data directory.
        </p>
        {error && <p role="alert" class="error">{error}</p>}
        <button>Sign in</button>
      </form>
    </main>
  );
}
