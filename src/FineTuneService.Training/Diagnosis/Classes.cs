using FineTuneService.Contracts;
using static System.FormattableString;

namespace FineTuneService.Training.Diagnosis;

/// <summary>Whether a classifier gives every class its due.</summary>
internal static class Classes
{
    public const string DeadCode = "dead_classes", DominatedCode = "dominated_classes";

    /// <summary>Rows of a class that are enough to expect a prediction of it.</summary>
    private const int EnoughRows = 5;

    public static Finding? Dead(RunHistory history)
    {
        if (Table(history) is not var (matrix, labels))
            return null;
        var predicted = Predicted(matrix);
        var dead = labels.Index().Where(label => matrix[label.Index].Sum() >= EnoughRows && predicted[label.Index] == 0).Select(label => label.Item).ToList();
        return dead.Count == 0 ? null : Tell(history, DeadCode, FindingSeverity.High, $"No validation row is told to be {string.Join(", ", dead.Take(5).Select(label => $"\"{label}\""))}{(dead.Count > 5 ? $" or {dead.Count - 5} other classes" : "")}, though there are such rows.");
    }

    /// <summary>One class is told far more often than it is there.</summary>
    public static Finding? Dominated(RunHistory history)
    {
        if (Table(history) is not var (matrix, labels) || Dead(history) is not null)
            return null;
        var (predicted, rows) = (Predicted(matrix), matrix.Sum(row => row.Sum()));
        var most = predicted.Index().MaxBy(count => count.Item).Index;
        var (told, there) = ((double)predicted[most] / rows, (double)matrix[most].Sum() / rows);
        var recall = labels.Index().Where(label => label.Index != most && matrix[label.Index].Sum() >= EnoughRows).Select(label => (double)matrix[label.Index][label.Index] / matrix[label.Index].Sum()).DefaultIfEmpty(1).Min();
        return told - there < 0.5 * (1 - there) || recall > 0.3 ? null : Tell(history, DominatedCode, FindingSeverity.Warning,
            Invariant($"\"{labels[most]}\" is told of {100 * told:F0} % of the validation rows and true of {100 * there:F0} %; of another class only {100 * recall:F0} % are found."));
    }

    /// <summary>Null as long as there is nothing to judge: a model that has learnt little gives its due to no class.</summary>
    private static (int[][] Matrix, string[] Labels)? Table(RunHistory history) =>
        history.Scores is { ConfusionMatrix: { } matrix, Labels: { } labels } && history.Step >= history.Facts.TotalSteps / 2 && !Fit.IsBarelyBetter(history) ? (matrix, labels) : null;

    private static int[] Predicted(int[][] matrix) => [.. Enumerable.Range(0, matrix.Length).Select(column => matrix.Sum(row => row[column]))];

    private static Finding Tell(RunHistory history, string code, FindingSeverity severity, string explanation) => new()
    {
        Code = code,
        Severity = severity,
        FromStep = history.Step,
        ToStep = history.Step,
        Explanation = explanation,
        Remedy = "Let rare classes count more, and add rows of them.",
        Patch = Patch.Task("text-classification", ("class_weights", "balanced")),
    };
}
