using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.DataQuality;

/// <summary>Makes a clean dataset of another by a recipe.</summary>
public static class DataCleaner
{
    private const int ShownLines = 100;

    /// <param name="folder">Empty or absent.</param>
    /// <param name="progress">Told from this thread.</param>
    /// <exception cref="FaultException">When a file cannot be read at all, a column is missing, the recipe does not fit, or nothing would be left.</exception>
    public static CleaningResult Run(DatasetFiles files, CleaningRecipe recipe, CleanedFolder folder, Action<DataProgress> progress)
    {
        if (Directory.Exists(folder.Path) && Directory.EnumerateFileSystemEntries(folder.Path).Any())
            throw new FaultException(folder.Path, null, "The folder is not empty.", "Name a new one.");
        var teller = new ProgressTeller(progress);
        var needsGroups = recipe.NearDuplicates is not null || recipe.ValidationSplit is not null || recipe.Leakage is not null;
        var similarity = needsGroups ? recipe.NearDuplicates ?? DataReportOptions.UsualSimilarity : (double?)null;
        using var data = new DataAnalysis(files, new(recipe.Columns, recipe.Encoding, similarity, recipe.PersonalData == PersonalDataAction.Mask, recipe.Seed), teller, share: 0.6);
        recipe = recipe with { Columns = data.Scan.Columns, Encoding = recipe.Encoding ?? data.Scan.Files[0].Encoding.Name };
        Check(files, recipe);

        teller.Begin("deciding on rows", 0.2);
        var fates = new RowFates(data, recipe, teller);
        if (data.Usable(DataSplit.Train).All(row => fates.Dropped(row) is not null))
            throw new FaultException("", null, "No training row would be left.", "Take rules out of the recipe; the report shows what each is about.");
        teller.Begin("writing", 0.2);
        Directory.CreateDirectory(folder.Path);
        var result = Write(data, recipe, fates, folder, teller.At);
        File.WriteAllBytes(folder.Result, JsonSerializer.SerializeToUtf8Bytes(result, SnakeCaseJson.Options));
        teller.End();
        return result;
    }

    private static void Check(DatasetFiles files, CleaningRecipe recipe)
    {
        var faults = new FaultList();
        faults.Require(recipe.ValidationSplit is null || files.Validation is null, "/validation_split", recipe.ValidationSplit, "There is a validation file already.", "Leave one of the two out.");
        faults.Require(
            recipe.Augmentation is null || recipe.Columns.Task is "text-classification" or "causal-lm", "/augmentation", recipe.Columns.Task, "Only plain texts can be augmented, and these are not.", "Leave it out.");
        faults.Require(
            recipe.PersonalData != PersonalDataAction.Mask || recipe.Columns.Task != "token-classification", "/personal_data", "mask", "Words with tags cannot be masked: their number would change.", "Set it to drop.");
        faults.Require(recipe.Relabel is null || recipe.Columns.LabelColumn is not null, "/relabel", recipe.Columns.Task, "These rows have no labels.", "Leave it out.");
        faults.ThrowIfAny();
    }

    private static CleaningResult Write(DataAnalysis data, CleaningRecipe recipe, RowFates fates, CleanedFolder folder, Action<double> progress)
    {
        var format = CleanedFolder.FormatOf(DataFile.FormatOf(data.Scan.Files[0].Path));
        var writers = new SortedDictionary<DataSplit, (RowWriter Writer, string Path)>();
        var tallies = new List<CleaningLedger>();
        using (var ledger = new StreamWriter(folder.Ledger))
        {
            foreach (var file in data.Scan.Files)
            {
                Open(file.Split, file);
                if (file.Split == DataSplit.Train && recipe.ValidationSplit is not null)
                    Open(DataSplit.Validation, file);
                tallies.Add(new FileCleaning(data.Scan, recipe, fates).Write(file, to => writers[to].Writer, line => ledger.WriteLine(JsonSerializer.Serialize(line, SnakeCaseJson.Options)), progress));
            }
        }
        foreach (var (writer, _) in writers.Values)
            writer.Dispose();
        CleanedFile[] cleaned = [.. writers.Select(written => FileOf(written.Key, written.Value.Path, written.Value.Writer.Rows))];
        return new() { Recipe = recipe, Files = cleaned, Ledgers = tallies, Sha256 = Identity(cleaned, recipe) };

        void Open(DataSplit split, ScannedFile like) => writers.Add(split, (RowWriter.Create(folder.Data(split, format), like), folder.Data(split, format)));
    }

    private static CleanedFile FileOf(DataSplit split, string path, long rows)
    {
        using var content = File.OpenRead(path);
        return new() { Split = split, Name = Path.GetFileName(path), Rows = rows, Bytes = content.Length, Sha256 = Convert.ToHexStringLower(SHA256.HashData(content)) };
    }

    private static string Identity(IEnumerable<CleanedFile> files, CleaningRecipe recipe) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Concat(files.Select(file => $"{file.Name} {file.Sha256}\n")) + JsonSerializer.Serialize(recipe, SnakeCaseJson.Options))));

    /// <summary>One input file's way into the cleaned ones.</summary>
    private sealed class FileCleaning(DataScan scan, CleaningRecipe recipe, RowFates fates)
    {
        private readonly RowEdits _edits = new(scan.Columns);
        private readonly SortedDictionary<DataIssue, List<long>> _dropped = [];
        private readonly Dictionary<DataIssue, long> _counts = [];
        private long _changed, _heldOut, _augmented, _used;

        public CleaningLedger Write(ScannedFile file, Func<DataSplit, RowWriter> writer, Action<LedgerLine> tell, Action<double> progress)
        {
            var next = file.Start;
            foreach (var (at, row) in file.Read())
            {
                for (; next < at; next++)
                    tell(Drop(next));
                tell(fates.Dropped(at) is null ? Keep(at, row, writer) : Drop(at));
                next = at + 1;
                if (next % 10_000 == 0)
                    progress((double)next / scan.Rows.Count);
            }
            for (; next < file.End; next++)
                tell(Drop(next));
            return new()
            {
                Split = file.Split,
                Rows = file.End - file.Start,
                Used = _used,
                Changed = _changed,
                HeldOut = _heldOut,
                Augmented = _augmented,
                Dropped = _dropped.ToDictionary(entry => entry.Key, entry => new DroppedLines(_counts[entry.Key], entry.Value)),
            };
        }

        private LedgerLine Drop(int at)
        {
            var (row, why) = (scan.Rows[at], fates.Dropped(at)!.Value);
            _counts[why] = _counts.GetValueOrDefault(why) + 1;
            if (!_dropped.TryGetValue(why, out var lines))
                _dropped.Add(why, lines = []);
            if (lines.Count < ShownLines)
                lines.Add(row.Line);
            return new() { Split = row.Split, Line = row.Line, Dropped = why, Other = fates.Other(at) is { } other ? new() { Split = scan.Rows[other].Split, Line = scan.Rows[other].Line } : null };
        }

        private LedgerLine Keep(int at, DataRow row, Func<DataSplit, RowWriter> writer)
        {
            var split = scan.Rows[at].Split;
            var to = fates.IsHeldOut(at) ? DataSplit.Validation : split;
            var label = fates.NewLabel(at);
            if (label is not null)
                _edits.Relabel(row, label);
            var masked = recipe.PersonalData == PersonalDataAction.Mask ? _edits.Mask(row) : 0;
            writer(to).Write(row.Columns, row.Cells);
            _used++;
            _changed += label is not null || masked > 0 ? 1 : 0;
            _heldOut += to == split ? 0 : 1;
            if (to == DataSplit.Train && recipe.Augmentation is { } augmentation)
                Augment(at, row, augmentation, writer(to));
            return new() { Split = split, Line = row.Line, To = to, Label = label, Masked = masked > 0 ? masked : null };
        }

        private void Augment(int at, DataRow row, Augmentation augmentation, RowWriter writer)
        {
            var augmenter = new TextAugmenter(augmentation, new Random(HashCode(recipe.Seed, at)));
            for (var copy = 0; copy < augmentation.Copies; copy++)
                if (_edits.Copy(row, augmenter.Change) is { } changed)
                {
                    writer.Write(row.Columns, changed);
                    _augmented++;
                }
        }

        /// <summary>The same on every machine, as System.HashCode is not.</summary>
        private static int HashCode(long seed, int row) => (int)(((ulong)seed * 0x9E3779B97F4A7C15 + (ulong)row + 1) * 0xBF58476D1CE4E5B9 >> 33);
    }
}
