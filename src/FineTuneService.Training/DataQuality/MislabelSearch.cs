namespace FineTuneService.Training.DataQuality;

/// <summary>A row whose label is probably wrong.</summary>
/// <param name="Label">The label that it should probably have.</param>
/// <param name="Confidence">Out-of-fold probability of that label.</param>
/// <param name="Given">Out-of-fold probability of the label that it has.</param>
internal readonly record struct Suspect(int Row, int Label, float Confidence, float Given)
{
    public float Margin => Confidence - Given;
}

/// <summary>A labelled row.</summary>
/// <param name="Group">Equal for rows that say nearly the same: they are learnt from together or not at all.</param>
internal readonly record struct LabelledRow(int Row, string Text, int Label, int Group);

/// <summary>
/// Confident learning (Northcutt, Jiang and Chuang 2021): a row is suspect when a model that has not seen it gives another class at least the probability that
/// rows of that class get for it on average. The model is a fast one, see <see cref="LinearClassifier"/>, learnt and asked by cross-validation.
/// </summary>
internal sealed class MislabelSearch
{
    private const int Folds = 5, MostRepetitions = 5;

    /// <summary>Classes with fewer rows are nothing to learn and are left out.</summary>
    public const int FewestOfClass = 5;

    /// <summary>Numbers of a model, and of all probabilities.</summary>
    private const int MostWeights = 4_000_000, MostProbabilities = 20_000_000;

    /// <summary>Multiplications that cross-validation may take before it is not repeated: some seconds.</summary>
    private const double RepetitionWork = 4e9;

    private readonly int[] _classes; // a class' label
    private readonly Dictionary<int, int> _classOf;
    private readonly FeatureVocabulary _vocabulary;
    private readonly LinearClassifier[] _models = new LinearClassifier[Folds];
    private readonly Dictionary<int, int> _foldOf = [];
    private readonly float[] _thresholds;
    private readonly HashSet<int> _learnt;

    /// <param name="rows">At least two classes of <see cref="FewestOfClass"/> rows.</param>
    private MislabelSearch(LabelledRow[] rows, int[] classes, int seed, Action<double> progress)
    {
        _classes = classes;
        _classOf = classes.Index().ToDictionary(entry => entry.Item, entry => entry.Index);
        var raw = rows.AsParallel().AsOrdered().Select(row => TextFeatures.Of(row.Text)).ToArray();
        _vocabulary = new(raw, MostWeights / LinearClassifier.Stride(classes.Length));
        var features = raw.AsParallel().AsOrdered().Select(_vocabulary.Number).ToArray();
        int[] labels = [.. rows.Select(row => _classOf[row.Label])];
        var work = features.Sum(row => (double)row.Length) * LinearClassifier.Stride(classes.Length) * LinearClassifier.Epochs * Folds;
        var repetitions = (int)Math.Clamp(RepetitionWork / work, 1, MostRepetitions);
        var probabilities = new float[rows.Length * classes.Length];
        for (var repetition = 0; repetition < repetitions; repetition++)
        {
            var folds = FoldsOf(rows, seed + repetition);
            CrossValidate(features, labels, folds, seed + repetition, probabilities, keepsModels: repetition == 0);
            if (repetition == 0)
                for (var at = 0; at < rows.Length; at++)
                    _foldOf.TryAdd(rows[at].Group, folds[at]);
            progress((repetition + 1.0) / repetitions);
        }
        foreach (ref var probability in probabilities.AsSpan())
            probability /= repetitions;
        _thresholds = Thresholds(labels, probabilities);
        Suspects = [.. rows.Select((row, at) => Judge(row.Row, labels[at], probabilities.AsSpan(at * classes.Length, classes.Length))).OfType<Suspect>()];
        Agreement = labels.Where((label, at) => Largest(probabilities.AsSpan(at * classes.Length, classes.Length)) == label).Count() / (double)rows.Length;
        _learnt = [.. rows.Select(row => row.Row)];
    }

    /// <summary>Among the rows that were learnt from, in their order.</summary>
    public IReadOnlyList<Suspect> Suspects { get; }

    /// <summary>Share of the rows whose label cross-validation would have given them: how far the model understands the task.</summary>
    public double Agreement { get; }

    /// <summary>How many rows were learnt from.</summary>
    public int Rows => _learnt.Count;

    public bool HasLearnt(int row) => _learnt.Contains(row);

    /// <param name="rows">Of each class so many as it has; of too many the first.</param>
    /// <returns>Null where there is nothing to tell apart.</returns>
    public static MislabelSearch? Learn(IEnumerable<LabelledRow> rows, int mostRows, int seed, Action<double> progress)
    {
        var all = rows.ToArray();
        int[] classes = [.. all.GroupBy(row => row.Label).Where(group => group.Count() >= FewestOfClass).Select(group => group.Key).Order()];
        if (classes.Length < 2)
            return null;
        var known = classes.ToHashSet();
        LabelledRow[] chosen = [.. all.Where(row => known.Contains(row.Label)).Take(Math.Min(mostRows, MostProbabilities / classes.Length)).OrderBy(row => row.Row)];
        return new(chosen, classes, seed, progress);
    }

    /// <summary>Judges a row that was not learnt from, by a model that has not seen its like.</summary>
    public Suspect? Judge(LabelledRow row)
    {
        if (!_classOf.TryGetValue(row.Label, out var given))
            return null;
        Span<float> probabilities = new float[_classes.Length];
        var fold = _foldOf.GetValueOrDefault(row.Group, row.Group % Folds);
        _models[fold].Predict(_vocabulary.Number(TextFeatures.Of(row.Text)), probabilities);
        return Judge(row.Row, given, probabilities);
    }

    private Suspect? Judge(int row, int given, ReadOnlySpan<float> probabilities)
    {
        var best = -1;
        for (var at = 0; at < probabilities.Length; at++)
            if (probabilities[at] >= _thresholds[at] && (best < 0 || probabilities[at] > probabilities[best]))
                best = at;
        return best < 0 || best == given || probabilities[best] <= probabilities[given] ? null : new(row, _classes[best], probabilities[best], probabilities[given]);
    }

    /// <summary>Groups go round the folds, class by class.</summary>
    private static int[] FoldsOf(LabelledRow[] rows, int seed)
    {
        var random = new Random(seed);
        var foldOf = new Dictionary<int, int>();
        foreach (var members in rows.DistinctBy(row => row.Group).GroupBy(row => row.Label).OrderBy(group => group.Key))
        {
            int[] groups = [.. members.Select(row => row.Group)];
            random.Shuffle(groups);
            var first = random.Next(Folds);
            for (var at = 0; at < groups.Length; at++)
                foldOf[groups[at]] = (first + at) % Folds;
        }
        return [.. rows.Select(row => foldOf[row.Group])];
    }

    private void CrossValidate(int[][] features, int[] labels, int[] folds, int seed, float[] probabilities, bool keepsModels) => Parallel.For(0, Folds, fold =>
    {
        int[] others = [.. Enumerable.Range(0, labels.Length).Where(row => folds[row] != fold)];
        var model = LinearClassifier.Learn(features, labels, others, _vocabulary.Count, _classes.Length, seed);
        var told = new float[_classes.Length];
        for (var row = 0; row < labels.Length; row++)
            if (folds[row] == fold)
            {
                model.Predict(features[row], told);
                for (var at = 0; at < told.Length; at++)
                    probabilities[row * told.Length + at] += told[at];
            }
        if (keepsModels)
            _models[fold] = model;
    });

    /// <summary>For each class the mean probability that its rows get for it.</summary>
    private float[] Thresholds(int[] labels, float[] probabilities)
    {
        var (sums, members) = (new double[_classes.Length], new int[_classes.Length]);
        for (var row = 0; row < labels.Length; row++)
        {
            sums[labels[row]] += probabilities[row * sums.Length + labels[row]];
            members[labels[row]]++;
        }
        return [.. sums.Select((sum, at) => members[at] == 0 ? float.MaxValue : (float)(sum / members[at]))];
    }

    private static int Largest(ReadOnlySpan<float> values)
    {
        var best = 0;
        for (var at = 1; at < values.Length; at++)
            if (values[at] > values[best])
                best = at;
        return best;
    }
}
