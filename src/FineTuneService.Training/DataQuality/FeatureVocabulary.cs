namespace FineTuneService.Training.DataQuality;

/// <summary>The features that at least two texts have, numbered without gaps; of too many the frequent ones.</summary>
internal sealed class FeatureVocabulary
{
    private readonly int[] _numbers = new int[TextFeatures.Space];

    /// <param name="rows">As <see cref="TextFeatures.Of"/> gives them.</param>
    /// <param name="most">Features that are kept at most.</param>
    public FeatureVocabulary(IReadOnlyList<int[]> rows, int most)
    {
        foreach (var row in rows)
            foreach (var feature in row)
                _numbers[feature]++;
        var fewest = 2;
        while (_numbers.Count(texts => texts >= fewest) > most)
            fewest++;
        for (var feature = 0; feature < _numbers.Length; feature++)
            _numbers[feature] = _numbers[feature] >= fewest ? Count++ : -1;
    }

    public int Count { get; private set; }

    public int[] Number(int[] features) => [.. features.Select(feature => _numbers[feature]).Where(number => number >= 0)];
}
