import { useEffect, useState } from 'preact/hooks';
import { get, signedOut, type WhoAmI } from './api';
import { ComparePage } from './pages/compare';
import { DatasetPage } from './pages/dataset';
import { DatasetsPage } from './pages/datasets';
import { JobPage } from './pages/job';
import { JobsPage } from './pages/jobs';
import { NewJobPage } from './pages/new-job';
import { SignIn } from './pages/sign-in';
import { WorkersPage } from './pages/workers';
import { useRoute } from './router';

const sections = [
  ['jobs', 'Jobs'],
  ['datasets', 'Datasets'],
  ['workers', 'Workers'],
] as const;

export function App() {
  const [who, setWho] = useState<WhoAmI | 'nobody'>();
  const ask = () => void get<WhoAmI>('/me').then(setWho, () => setWho('nobody'));
  useEffect(() => {
    ask();
    const out = () => setWho('nobody');
    signedOut.addEventListener('out', out);
    return () => signedOut.removeEventListener('out', out);
  }, []);

  if (!who) return null;
  if (who === 'nobody') return <SignIn done={ask} />;
  return (
    <>
      <Header who={who} />
      <main id="main" tabIndex={-1}>
        <Page />
      </main>
    </>
  );
}

function Page() {
  const { parts, query } = useRoute();
  const [section, id] = parts;
  if (section === 'jobs' && id) return <JobPage key={id} id={id} />;
  if (section === 'new-job') return <NewJobPage key={query.get('from') ?? query.get('dataset')} dataset={query.get('dataset')} validation={query.get('validation')} from={query.get('from')} />;
  if (section === 'datasets') return id ? <DatasetPage key={id} id={id} /> : <DatasetsPage />;
  if (section === 'compare') return <ComparePage ids={(query.get('jobs') ?? '').split(',').filter(Boolean)} />;
  if (section === 'workers') return <WorkersPage />;
  return <JobsPage />;
}

function Header({ who }: { who: WhoAmI }) {
  const [at] = useRoute().parts;
  const leave = () => void fetch('/session', { method: 'DELETE' }).then(() => location.reload());
  return (
    <header>
      <a class="skip" href="#main" onClick={event => (event.preventDefault(), document.getElementById('main')?.focus())}>
        Skip to content
      </a>
      <a class="brand" href="#/jobs">
        <img src="/icon.svg" alt="" width="24" height="24" /> FineTuneService
      </a>
      <nav aria-label="Sections">
        {sections.map(([path, name]) => (
          <a key={path} href={`#/${path}`} aria-current={(at ?? 'jobs') === path ? 'page' : undefined}>
            {name}
          </a>
        ))}
        <a href="/swagger">API</a>
      </nav>
      <span class="who">
        {who.project?.name} <button class="plain" onClick={leave}>Sign out</button>
      </span>
    </header>
  );
}
