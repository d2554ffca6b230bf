using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.DataQuality;

/// <summary>What a recipe makes of each row: one rule after the other, each among the rows that the ones before have left.</summary>
internal sealed class RowFates
{
    private readonly DataAnalysis _data;
    private readonly CleaningRecipe _recipe;
    private readonly DataIssue?[] _dropped;
    private readonly Dictionary<int, int> _others = [];
    private readonly HashSet<int> _heldOut = [];
    private readonly HashSet<int> _decided = []; // by a person: no rule touches them
    private readonly List<string> _labels;
    private readonly int[] _label;

    /// <exception cref="FaultException">When the recipe names rows that are not there.</exception>
    public RowFates(DataAnalysis data, CleaningRecipe recipe, ProgressTeller progress)
    {
        (_data, _recipe, _labels) = (data, recipe, [.. data.Scan.Labels]);
        _dropped = [.. data.Scan.Rows.Select(row => row.Unusable)];
        _label = [.. data.Scan.Rows.Select(row => row.Label)];
        Decide();
        Singly();
        if (recipe.SuspectedMislabels is { } action && data.HasClasses)
            Mislabels(action, progress);
        Relations();
        if (recipe.ValidationSplit is { } share)
            HoldOut(share);
    }

    public DataIssue? Dropped(int row) => _dropped[row];

    /// <summary>The row on whose account one was dropped.</summary>
    public int? Other(int row) => _others.TryGetValue(row, out var other) ? other : null;

    /// <summary>Its new label; null where it keeps its own.</summary>
    public string? NewLabel(int row) => _label[row] == _data.Scan.Rows[row].Label ? null : _labels[_label[row]];

    public bool IsHeldOut(int row) => _heldOut.Contains(row);

    private IEnumerable<int> Left(DataSplit split) => _data.Usable(split).Where(row => _dropped[row] is null);

    private void Drop(int row, DataIssue why, int? other = null)
    {
        if (_dropped[row] is not null || _decided.Contains(row))
            return;
        _dropped[row] = why;
        if (other is { } known)
            _others[row] = known;
    }

    private void Decide()
    {
        var faults = new FaultList();
        var rows = new Dictionary<(DataSplit, long), int>();
        foreach (var (at, row) in _data.Scan.Rows.Index())
            rows[(row.Split, row.Line)] = at;
        foreach (var (at, selection) in (_recipe.Drop ?? []).Index())
            foreach (var row in Rows($"/drop/{at}", selection))
                Drop(row, DataIssue.Chosen);
        foreach (var (at, relabelling) in (_recipe.Relabel ?? []).Index())
            if (Row($"/relabel/{at}/line", relabelling.Split, relabelling.Line) is { } row)
            {
                _decided.Add(row);
                if (_dropped[row] == DataIssue.NoLabel)
                    _dropped[row] = null;
                _label[row] = Number(relabelling.Label);
            }
        foreach (var (at, selection) in (_recipe.Keep ?? []).Index())
            _decided.UnionWith(Rows($"/keep/{at}", selection));
        faults.ThrowIfAny();

        List<int> Rows(string pointer, LineSelection selection) => [.. selection.Lines.Select(line => Row($"{pointer}/lines", selection.Split, line)).OfType<int>()];

        int? Row(string pointer, DataSplit split, long line)
        {
            if (rows.TryGetValue((split, line), out var row))
                return row;
            faults.Add(pointer, line, $"No {split.ToString().ToLowerInvariant()} row begins at this line.", "Give a line as the report tells it.");
            return null;
        }
    }

    private int Number(string label)
    {
        if (_labels.IndexOf(label) is >= 0 and var known)
            return known;
        _labels.Add(label);
        return _labels.Count - 1;
    }

    private void Singly()
    {
        var usual = _recipe.OddLanguage ? _data.UsualLanguage(Left) : TextLanguage.Unknown;
        foreach (var (at, row) in _data.Scan.Rows.Index())
            if (row.Characters < _recipe.MinCharacters)
                Drop(at, DataIssue.TooShort);
            else if (row.Characters > _recipe.MaxCharacters)
                Drop(at, DataIssue.TooLong);
            else if (_recipe.NonText && row.Kind != TextKind.Text)
                Drop(at, DataIssue.NonText);
            else if (RowFindings.IsOdd(row.Language, usual))
                Drop(at, DataIssue.OddLanguage);
            else if (_recipe.PersonalData == PersonalDataAction.Drop && row.Personal != 0)
                Drop(at, DataIssue.PersonalData);
    }

    private void Mislabels(MislabelAction action, ProgressTeller progress)
    {
        var search = MislabelSearch.Learn(_data.Labelled(Left(DataSplit.Train), row => _label[row]), action.Rows, (int)_recipe.Seed, progress.At);
        if (search is null)
            return;
        var (suspects, _) = SecondLook.At(_data, search, row => _dropped[row] is null ? _label[row] : -1, new HashSet<int>(), 0, _ => { });
        foreach (var suspect in suspects.Where(suspect => suspect.Confidence >= (action.Confidence ?? 0) && !_decided.Contains(suspect.Row)))
            if (action.Action == MislabelCure.Relabel)
                _label[suspect.Row] = suspect.Label;
            else
                Drop(suspect.Row, DataIssue.SuspectedMislabel);
    }

    private void Relations()
    {
        int Label(int row) => _label[row];
        DataSplit[] splits = [.. _data.Scan.Files.Select(file => file.Split)];
        if (_recipe.ConflictingLabels is { } conflicts && _data.HasClasses)
            foreach (var text in splits.SelectMany(split => _data.Conflicts([.. Left(split)], Label)).ToArray())
                Settle(text, conflicts);
        if (_recipe.ExactDuplicates)
            foreach (var (row, of) in splits.SelectMany(split => _data.Repeated([.. Left(split)], Label)).ToArray())
                Drop(row, DataIssue.ExactDuplicate, of);
        if (_recipe.NearDuplicates is not null)
            foreach (var (row, of, _) in splits.SelectMany(split => _data.NearlyRepeated([.. Left(split)], Label, (one, other) => one == other)).ToArray())
                Drop(row, DataIssue.NearDuplicate, of);
        int[] train = [.. Left(DataSplit.Train)], held = [.. Left(DataSplit.Validation), .. Left(DataSplit.Test)];
        if (_recipe.Leakage is { } side)
            foreach (var (row, of, _) in (side == LeakageAction.Train ? _data.Shared(train, held) : _data.Shared(held, train)).ToArray())
                Drop(row, DataIssue.Leakage, of);
    }

    private void Settle(int[] text, ConflictingLabelsAction action)
    {
        var votes = text.CountBy(row => _label[row]).OrderByDescending(vote => vote.Value).ToArray();
        var hasMajority = action == ConflictingLabelsAction.Majority && votes[0].Value > votes[1].Value;
        foreach (var row in text)
            if (!hasMajority || _label[row] != votes[0].Key)
                Drop(row, DataIssue.ConflictingLabels, text.First(other => _label[other] != _label[row]));
    }

    private void HoldOut(double share)
    {
        var (_, validation) = HeldOut.Split([.. Left(DataSplit.Train)], share, _recipe.Seed, row => (UInt128)_data.Group(row), row => _data.HasClasses && _label[row] >= 0 ? _labels[_label[row]] : "");
        _heldOut.UnionWith(validation);
    }
}
