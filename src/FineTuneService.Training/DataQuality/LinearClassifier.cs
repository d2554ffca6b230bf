using System.Numerics;

namespace FineTuneService.Training.DataQuality;

/// <summary>
/// Multinomial logistic regression over binary features, each scaled for each class by its naive Bayes log-count ratio (Wang and Manning 2012, "Baselines and Bigrams"),
/// learnt by AdaGrad, one row at a time, in an order that the seed decides. It begins halfway at naive Bayes itself, which little data cannot improve much.
/// </summary>
internal sealed class LinearClassifier
{
    public const int Epochs = 4;

    private const float LearningRate = 0.1f, Smoothing = 1, FirstWeight = 0.5f, FirstSquare = 0.01f;

    private readonly float[] _weights; // [features, classes], classes filled up to whole vectors
    private readonly float[] _bias;
    private readonly int _classes, _stride;

    private LinearClassifier(int features, int classes)
    {
        (_classes, _stride) = (classes, Stride(classes));
        _weights = new float[features * _stride];
        _bias = new float[_stride];
    }

    /// <summary>Numbers that a feature takes.</summary>
    public static int Stride(int classes) => (classes + Vector<float>.Count - 1) / Vector<float>.Count * Vector<float>.Count;

    /// <param name="rows">Features of all rows, distinct numbers below <paramref name="features"/>.</param>
    /// <param name="labels">Of all rows, below <paramref name="classes"/>.</param>
    /// <param name="chosen">Rows to learn from.</param>
    public static LinearClassifier Learn(int[][] rows, int[] labels, int[] chosen, int features, int classes, int seed)
    {
        var model = new LinearClassifier(features, classes);
        var ratios = model.Ratios(rows, labels, chosen, features);
        for (var at = 0; at < ratios.Length; at++)
            model._weights[at] = ratios[at] * FirstWeight; // A weight is kept as what it scores: times its ratio.
        var squares = new float[ratios.Length];
        Array.Fill(squares, FirstSquare);
        var biasSquares = new float[model._stride];
        var (order, scores, random) = (chosen.ToArray(), new float[model._stride], new Random(seed));
        for (var epoch = 0; epoch < Epochs; epoch++)
        {
            random.Shuffle(order);
            foreach (var row in order)
                model.Step(rows[row], labels[row], ratios, scores, squares, biasSquares);
        }
        return model;
    }

    /// <param name="probabilities">One for each class.</param>
    public void Predict(ReadOnlySpan<int> features, Span<float> probabilities)
    {
        Span<float> scores = _stride <= 1024 ? stackalloc float[_stride] : new float[_stride];
        Score(features, scores);
        Softmax(scores[.._classes]);
        scores[.._classes].CopyTo(probabilities);
    }

    /// <summary>log of how much more frequent a feature is within a class than outside.</summary>
    private float[] Ratios(int[][] rows, int[] labels, int[] chosen, int features)
    {
        var (ratios, totals, members) = (new float[features * _stride], new float[features], new int[_classes]);
        foreach (var row in chosen)
        {
            members[labels[row]]++;
            foreach (var feature in rows[row])
            {
                totals[feature]++;
                ratios[feature * _stride + labels[row]]++;
            }
        }
        for (var feature = 0; feature < features; feature++)
            for (var at = 0; at < _classes; at++)
            {
                ref var cell = ref ratios[feature * _stride + at];
                var (inside, outside) = (cell, totals[feature] - cell);
                cell = totals[feature] == 0 ? 0 : MathF.Log((inside + Smoothing) / (members[at] + 2 * Smoothing) / ((outside + Smoothing) / (chosen.Length - members[at] + 2 * Smoothing)));
            }
        return ratios;
    }

    private void Score(ReadOnlySpan<int> features, Span<float> scores)
    {
        _bias.CopyTo(scores);
        var scale = Scale(features);
        foreach (var feature in features)
            for (var at = 0; at < _stride; at += Vector<float>.Count)
                (new Vector<float>(scores[at..]) + new Vector<float>(_weights, feature * _stride + at) * scale).CopyTo(scores[at..]);
    }

    private void Step(int[] features, int label, float[] ratios, float[] scores, float[] squares, float[] biasSquares)
    {
        Score(features, scores);
        Softmax(scores.AsSpan(0, _classes));
        scores.AsSpan(_classes).Clear();
        scores[label] -= 1;
        var scale = Scale(features);
        foreach (var feature in features)
            for (var at = 0; at < _stride; at += Vector<float>.Count)
            {
                var place = feature * _stride + at;
                var ratio = new Vector<float>(ratios, place);
                var gradient = new Vector<float>(scores, at) * ratio * scale;
                var sum = new Vector<float>(squares, place) + gradient * gradient;
                sum.CopyTo(squares, place);
                (new Vector<float>(_weights, place) - LearningRate * ratio * gradient / Vector.SquareRoot(sum)).CopyTo(_weights, place);
            }
        for (var at = 0; at < _classes; at++)
        {
            biasSquares[at] += scores[at] * scores[at];
            _bias[at] -= LearningRate * scores[at] / MathF.Sqrt(biasSquares[at] + FirstSquare);
        }
    }

    /// <summary>A row's features together have length 1.</summary>
    private static float Scale(ReadOnlySpan<int> features) => 1 / MathF.Sqrt(Math.Max(1, features.Length));

    private static void Softmax(Span<float> scores)
    {
        var (largest, sum) = (float.MinValue, 0f);
        foreach (var score in scores)
            largest = Math.Max(largest, score);
        foreach (ref var score in scores)
            sum += score = MathF.Exp(score - largest);
        foreach (ref var score in scores)
            score /= sum;
    }
}
