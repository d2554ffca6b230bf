import { useState } from 'preact/hooks';
import { post, type CleaningRecipe, type DataFinding, type DataReport, type Dataset, type Preparation } from '../api';
import { Trouble } from '../parts/trouble';
import { Finding } from './finding';

const keyOf = (finding: DataFinding) => `${finding.code} ${finding.split ?? ''}`;

/** What a report has found, and the choice of what to do about it. */
export function Clean({ dataset, from, begun }: { dataset: Dataset; from: Preparation; begun: () => void }) {
  const report = from.report as DataReport;
  const [wanted, setWanted] = useState(() => new Set(report.findings.filter(finding => finding.is_recommended).map(keyOf)));
  const [split, setSplit] = useState(from.validation ? 0 : 0.1);
  const [own, setOwn] = useState<string>(); // The recipe once it was edited by hand.
  const [error, setError] = useState<Error>();
  const want = (finding: DataFinding) => (yes: boolean) => setWanted(before => new Set(yes ? [...before, keyOf(finding)] : [...before].filter(key => key !== keyOf(finding))));
  const text = own ?? JSON.stringify(recipeOf(report, wanted, split), null, 2);
  const send = () => {
    setError(undefined);
    try {
      const recipe: unknown = JSON.parse(text);
      void post(`/datasets/${dataset.id}/clean`, { ...(from.validation && { validation: from.validation }), ...(from.test && { test: from.test }), recipe }).then(begun, setError);
    } catch {
      setError(new Error('The recipe is no JSON.'));
    }
  };
  return (
    <section aria-label="Cleaning">
      {report.findings.length > 0 && <h2>What is the matter with it</h2>}
      <ul class="findings">
        {report.findings.map(finding => <Finding key={keyOf(finding)} finding={finding} wanted={finding.recipe ? wanted.has(keyOf(finding)) : undefined} want={want(finding)} />)}
      </ul>
      <div class="filters">
        {!from.validation && (
          <label>
            Share held out for validation{' '}
            <input type="number" min={0} max={0.5} step={0.01} value={split} onInput={event => Number.isFinite(event.currentTarget.valueAsNumber) && setSplit(event.currentTarget.valueAsNumber)} />
          </label>
        )}
        <button class="primary" onClick={send}>Make a cleaned dataset</button>
      </div>
      <Trouble error={error} />
      <details>
        <summary>The recipe</summary>
        <textarea class="code" aria-label="Recipe" rows={14} spellcheck={false} value={text} onInput={event => setOwn(event.currentTarget.value)} />
        {own !== undefined && <p><button onClick={() => setOwn(undefined)}>Back to the choice above</button></p>}
      </details>
    </section>
  );
}

/** The report's recipe with the remedies that are wanted, and without those that are not. */
function recipeOf(report: DataReport, wanted: ReadonlySet<string>, split: number): CleaningRecipe {
  const recipe: Record<string, unknown> = { columns: report.columns, seed: report.recipe.seed };
  if (report.recipe.encoding) recipe['encoding'] = report.recipe.encoding;
  for (const finding of report.findings) if (finding.recipe && wanted.has(keyOf(finding))) Object.assign(recipe, finding.recipe);
  if (split > 0) recipe['validation_split'] = split;
  return recipe as CleaningRecipe;
}
