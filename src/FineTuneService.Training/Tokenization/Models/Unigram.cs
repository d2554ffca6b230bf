
namespace FineTuneService.Training.Tokenization.Models;

/// <summary>sentencepiece's language model of single pieces: the division with the highest sum of scores (Kudo, 2018, arXiv:1804.10959).</summary>
internal sealed class Unigram : TokenizerModel
{
    private const double UnknownPenalty = 10;

    private readonly double[] _scores;
    private readonly Dictionary<(int Node, char Unit), int> _children = [];
    private readonly List<int> _pieceOfNode = [-1];
    private readonly int _unknown;
    private readonly double _unknownScore;
    private readonly int[]? _byteIds;

    private Unigram(IReadOnlyList<(string Piece, double Score)> pieces, int unknown, bool byteFallback)
        : base(new Vocabulary(pieces.Select((piece, id) => (piece.Piece, id))))
    {
        _scores = [.. pieces.Select(piece => piece.Score)];
        _unknown = unknown;
        _unknownScore = _scores.Min() - UnknownPenalty;
        _byteIds = byteFallback ? ByteIds(Vocabulary) : null;
        for (var id = 0; id < pieces.Count; id++)
            AddToTrie(pieces[id].Piece, id);
    }

    public static new Unigram Read(JsonSection section)
    {
        var pieces = section.Get("vocab").Items().Select(ReadPiece).ToList();
        var unknown = section.Get("unk_id");
        return unknown.Number() < pieces.Count
            ? new(pieces, unknown.Number(), section.Flag("byte_fallback", false))
            : throw unknown.Fault("The unknown token is not in the vocabulary.", "Download the file again.");
    }

    protected override void TokenizeAnew(ReadOnlySpan<char> word, int start, List<Token> tokens)
    {
        var ends = BestPath(word);
        var first = tokens.Count;
        for (var end = word.Length; end > 0;)
        {
            var (id, from, _) = ends[end];
            // Unknown neighbours are one token.
            while (id == _unknown && from > 0 && ends[from].Id == _unknown)
                from = ends[from].Start;
            AddReversed(word[from..end], start + from, id == _unknown, id, tokens);
            end = from;
        }
        tokens.Reverse(first, tokens.Count - first);
    }

    private void AddReversed(ReadOnlySpan<char> text, int start, bool isUnknown, int id, List<Token> tokens)
    {
        if (isUnknown && Vocabulary.IdOf(text) is var known and >= 0)
            id = known;
        else if (isUnknown && _byteIds is not null)
        {
            var bytes = System.Text.Encoding.UTF8.GetBytes(text.ToString());
            if (bytes.All(value => _byteIds[value] >= 0))
            {
                foreach (var value in bytes.Reverse())
                    tokens.Add(new Token(_byteIds[value], start, start + text.Length));
                return;
            }
        }
        tokens.Add(new Token(id, start, start + text.Length));
    }

    /// <summary>For every end in the word the best piece that ends there; an earlier one stays on equal scores.</summary>
    private (int Id, int Start, double Score)[] BestPath(ReadOnlySpan<char> word)
    {
        var ends = new (int Id, int Start, double Score)[word.Length + 1];
        for (var i = 1; i < ends.Length; i++)
            ends[i] = (-1, -1, 0);
        for (int at = 0, width; at < word.Length; at += width)
        {
            width = char.IsHighSurrogate(word[at]) ? 2 : 1;
            var score = ends[at].Score;
            var hasSingle = false;
            for (int end = at, node = 0; end < word.Length && _children.TryGetValue((node, word[end]), out node);)
            {
                end++;
                var id = _pieceOfNode[node];
                if (id < 0)
                    continue;
                Offer(ref ends[end], id, at, score + _scores[id]);
                hasSingle |= end == at + width;
            }
            if (!hasSingle)
                Offer(ref ends[at + width], _unknown, at, score + _unknownScore);
        }
        return ends;
    }

    private static void Offer(ref (int Id, int Start, double Score) best, int id, int start, double score)
    {
        if (best.Start < 0 || score > best.Score)
            best = (id, start, score);
    }

    private void AddToTrie(string piece, int id)
    {
        var node = 0;
        foreach (var unit in piece)
        {
            if (!_children.TryGetValue((node, unit), out var child))
            {
                _children[(node, unit)] = child = _pieceOfNode.Count;
                _pieceOfNode.Add(-1);
            }
            node = child;
        }
        if (node != 0)
            _pieceOfNode[node] = id;
    }

    private static (string Piece, double Score) ReadPiece(JsonSection section) => section.Items().ToArray() is [var piece, var score]
        ? (piece.Text(), score.Real())
        : throw section.Fault("A piece and its score are expected here.", "Download the file again.");
}
