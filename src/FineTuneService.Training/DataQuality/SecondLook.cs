namespace FineTuneService.Training.DataQuality;

/// <summary>What can be told of single rows only when all are known: doubts about their labels, and excerpts of those that are shown. Reads the files again where not all texts were kept.</summary>
internal static class SecondLook
{
    private const int AtATime = 4096;

    /// <param name="search">Null: labels are not doubted.</param>
    /// <param name="label">A training row's label; −1: it is not doubted.</param>
    /// <param name="wanted">Rows whose excerpts are needed; those of suspects come beside.</param>
    public static (IReadOnlyList<Suspect> Suspects, IReadOnlyDictionary<int, string> Excerpts) At(DataAnalysis data, MislabelSearch? search, Func<int, int> label, IReadOnlySet<int> wanted, int characters, Action<double> progress)
    {
        var scan = data.Scan;
        List<Suspect> suspects = [.. search?.Suspects ?? []];
        var excerpts = new Dictionary<int, string>();
        foreach (var row in wanted.Concat(suspects.Select(suspect => suspect.Row)))
            if (scan.Sample.Texts.TryGetValue(row, out var text))
                excerpts[row] = Excerpt(text, characters);
        Look(scan.Sample.Texts.Where(kept => IsDoubted(kept.Key)).OrderBy(kept => kept.Key).Select(kept => (kept.Key, kept.Value)));
        var seen = 0;
        foreach (var file in scan.Files)
            foreach (var rows in file.Read().Where(entry => IsNew(entry.At)).Chunk(AtATime))
            {
                Look(rows.AsParallel().AsOrdered().Select(entry => (entry.At, scan.TextOf(entry.Row).Text)));
                progress((seen += rows.Length) / (double)scan.Rows.Count);
            }
        return (suspects, excerpts);

        bool IsNew(int row) => !scan.Sample.Texts.ContainsKey(row) && scan.Rows[row].Characters > 0 && (wanted.Contains(row) || IsDoubted(row));

        bool IsDoubted(int row) => search is not null && row < scan.Files[0].End && scan.Rows[row].Unusable is null && label(row) >= 0 && !search.HasLearnt(row);

        void Look(IEnumerable<(int At, string Text)> rows)
        {
            foreach (var (at, text, suspect) in rows.AsParallel().AsOrdered().Select(row => (row.At, row.Text, IsDoubted(row.At) ? search!.Judge(new(row.At, row.Text, label(row.At), data.Group(row.At))) : null)).ToArray())
            {
                if (suspect is { } found)
                    suspects.Add(found);
                if (suspect is not null || wanted.Contains(at))
                    excerpts[at] = Excerpt(text, characters);
            }
        }
    }

    /// <summary>Masked before it is cut, so that no half of a number is left.</summary>
    private static string Excerpt(string text, int characters)
    {
        var masked = PersonalData.Mask(text.Length > 20 * characters ? text[..(20 * characters)] : text).ReplaceLineEndings(" ");
        return masked.Length <= characters ? masked : masked[..characters] + "…";
    }
}
